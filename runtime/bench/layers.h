// The convolutions that are benchmarked.
#ifndef ALCS_BENCH_LAYERS_H_
#define ALCS_BENCH_LAYERS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "alcs/sparse_weights.h"

namespace alcs {
namespace bench {

struct Layer {
  const char* net;
  int64_t in, out;
  int64_t kernel, stride;
  int64_t size;  // height and width of the input
  int64_t group = 1;
  int64_t batch = 1;
  Gate gate = Gate::kNone;
  bool flat = false;        // one-dimensional: height 1
  bool all_groups = false;  // at every SIMD-group size, where others stand for the common ones

  bool depthwise() const { return group > 1 && group == in; }
  // Pruning leaves these alone, so they are measured dense.
  bool always_dense() const { return depthwise() || in == 3; }

  // Whether integers can be computed with: channels in words of four, and no gate.
  bool in_words() const {
    const bool whole =
        depthwise() ? in % 4 == 0 && in == out : in / group % 4 == 0 && out / group % 4 == 0;
    return whole && gate == Gate::kNone;
  }

  // "resnet18/k3s1_64to64_56": safe in a --benchmark_filter.
  std::string Name() const;
};

const std::vector<Layer>& Layers();

}  // namespace bench
}  // namespace alcs

#endif  // ALCS_BENCH_LAYERS_H_
