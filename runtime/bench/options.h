// The flags that the benchmark has besides those of google-benchmark.
#ifndef ALCS_BENCH_OPTIONS_H_
#define ALCS_BENCH_OPTIONS_H_

#include <cstdint>
#include <vector>

#include "alcs/cpu.h"

namespace alcs {
namespace bench {

struct Options {
  Isa isa = Isa::kScalar;
  std::vector<int64_t> simd_groups;  // empty: each layer's own; 0: whole layers
  std::vector<double> densities = {1, 0.3, 0.1};
  int64_t cold_runs = 25;
};

extern const char kUsage[];

// Takes our flags out of the argument list and leaves the others.
Status ParseOptions(int* argc, char** argv, Options* options);

}  // namespace bench
}  // namespace alcs

#endif  // ALCS_BENCH_OPTIONS_H_
