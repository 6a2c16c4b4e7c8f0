// Compiled once for each instruction set, with its flags and as ALCS_BURST_ISA, its name in the
// table.
#include "bursts.h"

namespace alcs {
namespace bench {
namespace {

#define ALCS_ISA(name, id, architecture, kernels, flags, lanes, ...) \
  [[maybe_unused]] constexpr int lanes_##name = lanes;
#include "alcs/isas.inc"

#define ALCS_JOIN(prefix, name) prefix##name
#define ALCS_OF(prefix, name) ALCS_JOIN(prefix, name)
constexpr int kLanes = ALCS_OF(lanes_, ALCS_BURST_ISA);

// More than the units have stages, and few enough for the registers.
#if defined(__x86_64__)
constexpr int kChains = 12;
#else
constexpr int kChains = 24;
#endif

typedef float Reg __attribute__((vector_size(kLanes * sizeof(float))));

}  // namespace

// The compiler makes one instruction of each product and sum (-ffp-contract=fast), where the
// instruction set has one.
double ALCS_OF(FmaBurst_, ALCS_BURST_ISA)(float* sink) {
  constexpr int kSteps = 20000;
  const Reg zero = Reg{} + *sink;
  const Reg one = zero + 1.0F;
  Reg sum[kChains];
  for (Reg& r : sum) r = zero;
  for (int i = 0; i < kSteps; ++i) {
    _Pragma("GCC unroll 24") for (Reg& r : sum) r = r * one + zero;
  }
  for (int i = 1; i < kChains; ++i) sum[0] = sum[0] * one + sum[i];
  *sink = sum[0][0];
  return static_cast<double>(kSteps) * kChains * kLanes;
}

}  // namespace bench
}  // namespace alcs
