// Weights as they lie in a file when they are quantized: codes of few bits, relative indices.
//
// Both are streams of bits in little-endian order, number i in bits [i * n, (i + 1) * n), unused
// bits of the last byte zero. Group i of `simd_group` weights stands at
// position[i] = position[i - 1] + 1 + gap[i] with position[-1] = -1, and a weight is
// (first_level + level_step * code) * scale. A group without any weight other than zero only
// bridges a gap that is too large for `index_bits` (ADMM-NN-S, section 3.1: dummy zero weights).
#ifndef ALCS_PACKED_WEIGHTS_H_
#define ALCS_PACKED_WEIGHTS_H_

#include <cstdint>
#include <vector>

#include "alcs/sparse_weights.h"
#include "alcs/status.h"

namespace alcs {

// Borrowed arrays. The counts are those of the tensors as given, so that they can be checked.
struct PackedWeightsView {
  const uint8_t* codes = nullptr;  // simd_group codes of `bits` bits for each stored group
  int64_t code_bytes = 0;
  const uint8_t* gaps = nullptr;  // one of `index_bits` bits for each stored group
  int64_t gap_bytes = 0;
  const float* scales = nullptr;  // [1] or [out_channels]
  int64_t scale_count = 0;
  int64_t bits = 0;        // 1 to 8
  int64_t index_bits = 0;  // 0 to 32; with 0 every gap is 0
  int64_t stored = 0;      // groups, those that bridge gaps included
  int64_t first_level = 0;
  int64_t level_step = 0;
};

// Decodes weights that nobody has vouched for into what SparseWeightsView points to: values
// [n, simd_group] and strictly increasing positions [n]. Groups that are all zero are dropped;
// lanes that pad the last block of a conv group become zero. Nothing is read beyond the given
// lengths, and memory is taken only in proportion to them. On an error the vectors are unspecified.
Status UnpackWeights(const ConvSpec& spec, const PackedWeightsView& packed,
                     std::vector<float>* values, std::vector<int32_t>* positions);

}  // namespace alcs

#endif  // ALCS_PACKED_WEIGHTS_H_
