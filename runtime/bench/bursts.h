// Register-only multiply-adds, in independent chains, in the vectors of one instruction set.
#ifndef ALCS_BENCH_BURSTS_H_
#define ALCS_BENCH_BURSTS_H_

namespace alcs {
namespace bench {

// Returns how many were done; 0 for a set without such kernels. `*sink` is 0 before and after,
// which the compiler doesn't know.
using Burst = double (*)(float* sink);

// Of floats, and of bytes: by dot products where the set has them.
#define ALCS_ISA_HERE(name, ...)       \
  double FmaBurst_##name(float* sink); \
  double DotBurst_##name(float* sink);
#include "alcs/isas.inc"

}  // namespace bench
}  // namespace alcs

#endif  // ALCS_BENCH_BURSTS_H_
