// The sparse convolution on 8-bit integers: conv.h with its scales and zero points.
//
// A real number is scale * (q - zero_point): activations are unsigned bytes, weights signed ones
// whose zero point is 0, with a scale for each output channel. With all scales divided by y's,
//
//   sum = bias + (sum over taps of w * (x - x_zero))        exactly, in 32 bits
//   v   = float(sum) * scale
//   v   = v + float(residual - residual_zero) * residual_scale
//   v   = clip(max(v, slope * v), low, high)                in steps of y
//   y   = clip(round(v), -y_zero, 255 - y_zero) + y_zero    ties to even
//
// with each operation rounded to float32 by itself. Pixels outside the image are x_zero. All
// instruction sets give the same to the last bit.
//
// Channels go in words of four: activations are [n, channels / 4, h, w, 4], and a stored weight
// is one for each of the four channels of a word. In a depthwise convolution (as many conv groups
// as input and output channels) a word is computed from the same word: what is stored at a tap is
// the weight of each of its channels.
#ifndef ALCS_QUANTIZED_CONV_H_
#define ALCS_QUANTIZED_CONV_H_

#include <cstdint>
#include <memory>

#include "alcs/conv.h"

namespace alcs {

// Whether each output channel reads one input channel, its own.
inline bool IsDepthwise(const ConvSpec& spec) {
  return spec.group > 1 && spec.group == spec.in_channels && spec.group == spec.out_channels;
}

struct QuantizedSpec {
  // Channels of a conv group, in and out, and simd_group are multiples of 4; of a depthwise
  // convolution the channels, and simd_group is 4. The activation is in steps of y, and has no
  // gate.
  ConvSpec conv;
  uint8_t x_zero = 0, y_zero = 0, residual_zero = 0;
  float residual_scale = 0;  // over y's
};

// Borrowed arrays, as in SparseWeightsView. A column is that of a word:
// column = (c / 4 * kh + r) * kw + s. A depthwise convolution has a block for each word.
struct QuantizedWeightsView {
  const int8_t* values = nullptr;  // [nnz, simd_group, 4], depthwise [nnz, 4]
  int64_t value_count = 0;
  const int32_t* positions = nullptr;  // [nnz], strictly increasing
  int64_t nnz = 0;
  const int32_t* bias = nullptr;  // [out_channels], in steps of x's scale x w's
  int64_t bias_count = 0;
  const float* scales = nullptr;  // [out_channels], finite and not negative
  int64_t scale_count = 0;
};

// Checks what nobody has vouched for: what CheckSpec and CheckWeights do, multiples of 4, scales
// that are finite and not negative, and that no sum can leave 32 bits.
Status CheckQuantized(const QuantizedSpec& spec, const QuantizedWeightsView& weights);

using QuantizedConvPlan = PlanOf<uint8_t>;

class QuantizedConv : public ConvOf<uint8_t> {
 public:
  static Status Create(const QuantizedSpec& spec, const QuantizedWeightsView& weights, Isa isa,
                       std::unique_ptr<QuantizedConv>* conv);
};

}  // namespace alcs

#endif  // ALCS_QUANTIZED_CONV_H_
