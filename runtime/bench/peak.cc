#include "peak.h"

#include <time.h>

#include <algorithm>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace alcs {
namespace bench {
namespace {

constexpr int kSteps = 20000;

// Register-only multiply-adds, in more independent chains than the units have stages. A burst
// returns how many it did.
#if defined(__x86_64__)
constexpr int kChains = 12;

#define ALCS_BURST(name, target_name, Reg, set1, fmadd, lanes)              \
  __attribute__((target(target_name), noinline)) double name(float* sink) { \
    Reg sum[kChains];                                                       \
    for (Reg& r : sum) r = set1(*sink);                                     \
    const Reg one = set1(1.0F), zero = set1(*sink);                         \
    for (int i = 0; i < kSteps; ++i) {                                      \
      _Pragma("GCC unroll 12") for (Reg& r : sum) r = fmadd(r, one, zero);  \
    }                                                                       \
    for (int i = 1; i < kChains; ++i) sum[0] = fmadd(sum[0], one, sum[i]);  \
    *sink = sum[0][0];                                                      \
    return static_cast<double>(kSteps) * kChains * (lanes);                 \
  }
ALCS_BURST(BurstAvx512, "avx512f", __m512, _mm512_set1_ps, _mm512_fmadd_ps, 16)
ALCS_BURST(BurstAvx2, "avx2,fma", __m256, _mm256_set1_ps, _mm256_fmadd_ps, 8)
#elif defined(__aarch64__)
constexpr int kChains = 24;

double BurstNeon(float* sink) {
  float32x4_t sum[kChains];
  for (float32x4_t& r : sum) r = vdupq_n_f32(*sink);
  const float32x4_t one = vdupq_n_f32(1.0F);
  for (int i = 0; i < kSteps; ++i) {
    _Pragma("GCC unroll 24") for (float32x4_t& r : sum) r = vfmaq_f32(r, one, one);
  }
  for (float32x4_t& r : sum) *sink += vaddvq_f32(r) > 0 ? 0.0F : 1.0F;
  return static_cast<double>(kSteps) * kChains * 4;
}
#endif

using Burst = double (*)(float*);

Burst BurstOf([[maybe_unused]] std::string_view isa) {
#if defined(__x86_64__)
  if (isa == "avx512") return BurstAvx512;
  if (isa == "avx2") return BurstAvx2;
#elif defined(__aarch64__)
  if (isa == "neon") return BurstNeon;
#endif
  return nullptr;
}

}  // namespace

double ThreadSeconds() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

double MeasurePeak(std::string_view isa, double seconds) {
  const Burst burst = BurstOf(isa);
  if (burst == nullptr) return 0;
  std::vector<double> rates;
  float sink = 0;
  const double start = ThreadSeconds();
  while (rates.size() < 10 || ThreadSeconds() - start < seconds) {
    const double from = ThreadSeconds();
    const double macs = burst(&sink);
    rates.push_back(macs / (ThreadSeconds() - from));
  }
  // Not the very best: on a virtual machine the clock sometimes jumps.
  std::sort(rates.begin(), rates.end());
  return rates[rates.size() * 9 / 10];
}

}  // namespace bench
}  // namespace alcs
