#ifndef ALCS_BENCH_BENCH_MAX_POOL_H_
#define ALCS_BENCH_BENCH_MAX_POOL_H_

#include "alcs/cpu.h"

namespace alcs {
namespace bench {

// A benchmark for each window that networks pool with, on 64 channels of two sizes.
void RegisterMaxPools(Isa isa);

}  // namespace bench
}  // namespace alcs

#endif  // ALCS_BENCH_BENCH_MAX_POOL_H_
