// Compiled once for each instruction set, as fma_burst.cc is. A multiply-add of bytes is what the
// kernels take for one: a single dot product, or the few instructions that stand for it.
#include "bursts.h"
#include "kernels/macros.h"
#include "kernels/unroll.h"

#if defined(__AVX512VNNI__)
#include "kernels/vec_avx512_u8.h"
#define ALCS_BURST_VECTOR Avx512U8
#elif defined(__AVXVNNI__)
#include "kernels/vec_avx2_u8.h"
#define ALCS_BURST_VECTOR AvxVnniU8
#elif defined(__AVX2__)
#include "kernels/vec_avx2_u8.h"
#define ALCS_BURST_VECTOR Avx2U8
#elif defined(__ARM_FEATURE_DOTPROD)
#include "kernels/vec_neon_u8.h"
#define ALCS_BURST_VECTOR NeonDotU8
#elif defined(__aarch64__)
#include "kernels/vec_neon_u8.h"
#define ALCS_BURST_VECTOR NeonU8
#endif

#define ALCS_JOIN(prefix, name) prefix##name
#define ALCS_OF(prefix, name) ALCS_JOIN(prefix, name)

namespace alcs {
namespace bench {

#ifdef ALCS_BURST_VECTOR
double ALCS_OF(DotBurst_, ALCS_BURST_ISA)(float* sink) {
  using V = kernels::ALCS_BURST_VECTOR;
  // As many sums as a tile has rows of four that fit the registers, times vectors of pixels.
  constexpr int kRows = 4;
  constexpr int kVectors = V::kRegisters <= 16 ? 2 : 4;
  constexpr int kSteps = 20000;
  const auto zero = static_cast<int32_t>(*sink);
  const int32_t weights[kRows] = {zero, zero, zero, zero};
  kernels::Uint8::Word words[V::N] = {};
  for (auto& word : words) word = static_cast<kernels::Uint8::Word>(zero);
  const typename V::template Weights<kRows> w(weights);
  typename V::Input x = V::MakeInput(V::Load(words));
  typename V::Sum sum[kRows][kVectors];
  kernels::Unroll<0, kRows>([&](auto row) ALCS_INLINE_LAMBDA {
    for (auto& one : sum[row]) one = V::Start({zero, 0});
  });
  for (int i = 0; i < kSteps; ++i) {
    kernels::Unroll<0, kRows>([&](auto row) ALCS_INLINE_LAMBDA {
      const auto weight = w.template Get<row>();
      kernels::Unroll<0, kVectors>([&](auto s) ALCS_INLINE_LAMBDA {
        ALCS_KEEP_IN_REGISTER(x);  // else products that are the same are taken once
        sum[row][s] = V::MultiplyAdd(weight, x, sum[row][s]);
      });
    });
  }
  kernels::Uint8::Word result[V::N] = {};
  kernels::Unroll<0, kRows>([&](auto row) ALCS_INLINE_LAMBDA {
    for (const auto& one : sum[row]) {
      V::Store(result, V::Add(V::Load(result), V::Total(one)));
    }
  });
  *sink = static_cast<float>(static_cast<int32_t>(result[0]));
  return static_cast<double>(kSteps) * kRows * kVectors * V::N * kernels::Uint8::kChannels;
}
#else
double ALCS_OF(DotBurst_, ALCS_BURST_ISA)(float*) { return 0; }
#endif

}  // namespace bench
}  // namespace alcs
