// Register-only multiply-adds, in independent chains, in the vectors of one instruction set.
#ifndef ALCS_BENCH_FMA_BURST_H_
#define ALCS_BENCH_FMA_BURST_H_

namespace alcs {
namespace bench {

// Returns how many were done. `*sink` is 0 before and after, which the compiler doesn't know.
using FmaBurst = double (*)(float* sink);

#define ALCS_ISA_HERE(name, ...) double FmaBurst_##name(float* sink);
#include "alcs/isas.inc"

}  // namespace bench
}  // namespace alcs

#endif  // ALCS_BENCH_FMA_BURST_H_
