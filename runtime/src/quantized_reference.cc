#include <algorithm>
#include <cmath>

#include "reference.h"

namespace alcs {
namespace {

// The steps of quantized_conv.h after the sum. Each variable is rounded to float32.
uint8_t Requantized(const QuantizedSpec& spec, int64_t sum, float scale, const uint8_t* residual) {
  const Activation& act = spec.conv.activation;
  float v = static_cast<float>(sum) * scale;
  if (residual != nullptr) {
    const float added =
        static_cast<float>(*residual - int{spec.residual_zero}) * spec.residual_scale;
    v = v + added;
  }
  const float sloped = v * act.slope;
  v = std::max(v, sloped);
  v = std::min(std::max(v, act.low), act.high);
  const float zero = spec.y_zero;
  v = std::min(std::max(v, -zero), 255.0F - zero);
  return static_cast<uint8_t>(std::nearbyint(v) + zero);
}

}  // namespace

void ReferenceQuantizedConv(const QuantizedSpec& spec, const QuantizedWeightsView& weights,
                            const ConvSizes& sizes, const uint8_t* x, const uint8_t* residual,
                            uint8_t* y) {
  constexpr int64_t kWord = 4;
  const ConvSpec& conv = spec.conv;
  const int64_t kh = conv.kernel[0], kw = conv.kernel[1];
  // A word of a depthwise convolution is a group of its own, whose rows read a channel each.
  const bool depthwise = conv.group > 1 && conv.group == conv.in_channels;
  const int64_t groups = depthwise ? conv.group / kWord : conv.group;
  const int64_t bytes = depthwise ? 1 : kWord;
  const int64_t rows_per_group = conv.out_channels / groups;
  const int64_t words_per_group = conv.in_channels / groups / kWord;
  const int64_t columns = words_per_group * kh * kw;
  const int64_t blocks_per_group = (rows_per_group + conv.simd_group - 1) / conv.simd_group;
  const int64_t pixels = sizes.out_height * sizes.out_width;
  const auto at = [](int64_t channel, int64_t plane_pixels, int64_t pixel) {
    return (channel / kWord * plane_pixels + pixel) * kWord + channel % kWord;
  };
  for (int64_t n = 0; n < sizes.batch; ++n) {
    for (int64_t m = 0; m < conv.out_channels; ++m) {
      const int64_t group = m / rows_per_group, row = m % rows_per_group;
      const int64_t block = group * blocks_per_group + row / conv.simd_group;
      const int32_t* end = weights.positions + weights.nnz;
      const int32_t* first = std::lower_bound(weights.positions, end, block * columns);
      const int32_t* last = std::lower_bound(first, end, (block + 1) * columns);
      for (int64_t pixel = 0; pixel < pixels; ++pixel) {
        const int64_t oy = pixel / sizes.out_width, ox = pixel % sizes.out_width;
        int64_t sum = weights.bias[m];
        for (const int32_t* p = first; p != last; ++p) {
          const int64_t column = *p - block * columns;
          const int64_t word = group * words_per_group + column / (kh * kw);
          const int64_t iy =
              oy * conv.strides[0] + column / kw % kh * conv.dilations[0] - conv.pads[0];
          const int64_t ix = ox * conv.strides[1] + column % kw * conv.dilations[1] - conv.pads[1];
          if (iy < 0 || iy >= sizes.in_height || ix < 0 || ix >= sizes.in_width) continue;
          const int8_t* w =
              weights.values +
              ((p - weights.positions) * conv.simd_group + row % conv.simd_group) * bytes;
          const uint8_t* from =
              x + at(word * kWord, sizes.in_height * sizes.in_width, iy * sizes.in_width + ix);
          if (depthwise) from += row;
          for (int64_t c = 0; c < bytes; ++c) sum += int64_t{w[c]} * (from[c] - int{spec.x_zero});
        }
        const int64_t to = at(m, pixels, pixel);
        y[to] = Requantized(spec, sum, weights.scales[m],
                            residual != nullptr ? residual + to : nullptr);
      }
    }
    x += conv.in_channels * sizes.in_height * sizes.in_width;
    y += conv.out_channels * pixels;
    if (residual != nullptr) residual += conv.out_channels * pixels;
  }
}

}  // namespace alcs
