// The stored form of sparse convolution weights, and its validation.
//
// A convolution with M output channels, C input channels and `group` conv groups has, in each
// conv group, a weight matrix of M/group rows and K = C/group * kh * kw columns, where
// column = (c * kh + r) * kw + s. Rows are cut into blocks of `simd_group` adjacent output
// channels; the last block of each conv group is padded with zero rows. A stored position is one
// column of one block: position = block * K + column, with blocks counted over all conv groups.
// This is the grouped CSR of ALCS (section III-B) with the row pointer folded into the index.
#ifndef ALCS_SPARSE_WEIGHTS_H_
#define ALCS_SPARSE_WEIGHTS_H_

#include <cstdint>

#include "alcs/gates.h"
#include "alcs/status.h"

namespace alcs {

// y = clip(max(v, slope * v), low, high), or the gate of v. A NaN stays a NaN.
struct Activation {
  float slope = 1.0F;
  float low = -3.402823466e+38F;
  float high = 3.402823466e+38F;
  Gate gate = Gate::kNone;  // if any, it takes the place of the rest, which must do nothing
};

// What the operator's attributes say. One-dimensional convolutions have height 1:
// kernel {1, k}, strides {1, s}, pads {0, left, 0, right}, dilations {1, d}.
struct ConvSpec {
  int64_t out_channels = 0;  // M
  int64_t in_channels = 0;   // C, all conv groups together
  int64_t group = 1;
  int64_t simd_group = 1;          // rows of a block
  int64_t kernel[2] = {1, 1};      // height, width
  int64_t strides[2] = {1, 1};     // vertical, horizontal
  int64_t pads[4] = {0, 0, 0, 0};  // top, left, bottom, right
  int64_t dilations[2] = {1, 1};   // vertical, horizontal
  Activation activation;
};

// Borrowed arrays. The counts are those of the tensors as given, so that they can be checked.
struct SparseWeightsView {
  const float* values = nullptr;       // [nnz, simd_group]
  int64_t value_count = 0;             // nnz * simd_group
  const int32_t* positions = nullptr;  // [nnz], strictly increasing
  int64_t nnz = 0;
  const float* bias = nullptr;  // [out_channels]
  int64_t bias_count = 0;
};

// Sizes that follow from a valid ConvSpec.
struct WeightGeometry {
  int64_t columns = 0;           // K
  int64_t rows_per_group = 0;    // M / group
  int64_t blocks_per_group = 0;  // ceil(rows_per_group / simd_group)
  int64_t blocks = 0;            // group * blocks_per_group
};

// Checks attributes that nobody has vouched for: every size positive (pads not negative), group
// divides both channel counts, simd_group at most max(out_channels, 16), no product overflows,
// positions fit int32, the activation is finite and its range not empty, and a gate
// comes alone.
Status CheckSpec(const ConvSpec& spec, WeightGeometry* geometry);

// Checks the arrays against a spec: lengths, positions in range and strictly increasing. Values
// and bias may be anything, as in a dense convolution.
Status CheckWeights(const ConvSpec& spec, const SparseWeightsView& weights);

}  // namespace alcs

#endif  // ALCS_SPARSE_WEIGHTS_H_
