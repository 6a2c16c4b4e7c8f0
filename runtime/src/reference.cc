#include "reference.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace alcs {
namespace {

double Activated(const Activation& act, double v) {
  if (act.gate != Gate::kNone) return InfoOf(act.gate).reference(v);
  const double kept = v < act.slope * v ? act.slope * v : v;
  const double raised = kept < act.low ? act.low : kept;
  return raised > act.high ? act.high : raised;
}

}  // namespace

void ReferenceConv(const ConvSpec& spec, const SparseWeightsView& weights, const ConvSizes& sizes,
                   const float* x, const float* residual, float* y) {
  const int64_t kh = spec.kernel[0], kw = spec.kernel[1];
  const int64_t rows_per_group = spec.out_channels / spec.group;
  const int64_t channels_per_group = spec.in_channels / spec.group;
  const int64_t columns = channels_per_group * kh * kw;
  const int64_t blocks_per_group = (rows_per_group + spec.simd_group - 1) / spec.simd_group;
  for (int64_t n = 0; n < sizes.batch; ++n) {
    for (int64_t m = 0; m < spec.out_channels; ++m) {
      const int64_t group = m / rows_per_group, row = m % rows_per_group;
      const int64_t block = group * blocks_per_group + row / spec.simd_group;
      const int32_t* end = weights.positions + weights.nnz;
      const int32_t* first = std::lower_bound(weights.positions, end, block * columns);
      const int32_t* last = std::lower_bound(first, end, (block + 1) * columns);
      for (int64_t oy = 0; oy < sizes.out_height; ++oy) {
        for (int64_t ox = 0; ox < sizes.out_width; ++ox, ++y) {
          double sum = weights.bias[m];
          for (const int32_t* p = first; p != last; ++p) {
            const int64_t column = *p - block * columns;
            const int64_t c = group * channels_per_group + column / (kh * kw);
            const int64_t r = column / kw % kh, s = column % kw;
            const int64_t iy = oy * spec.strides[0] + r * spec.dilations[0] - spec.pads[0];
            const int64_t ix = ox * spec.strides[1] + s * spec.dilations[1] - spec.pads[1];
            if (iy < 0 || iy >= sizes.in_height || ix < 0 || ix >= sizes.in_width) continue;
            const int64_t value = (p - weights.positions) * spec.simd_group + row % spec.simd_group;
            sum += static_cast<double>(weights.values[value]) *
                   x[((n * spec.in_channels + c) * sizes.in_height + iy) * sizes.in_width + ix];
          }
          if (residual != nullptr) sum += *residual++;
          *y = static_cast<float>(Activated(spec.activation, sum));
        }
      }
    }
  }
}

void ReferenceMaxPool(const ConvSpec& spec, int64_t channels, int64_t h, int64_t w, int64_t out_h,
                      int64_t out_w, const float* x, float* y) {
  for (int64_t c = 0; c < channels; ++c, x += h * w) {
    for (int64_t oy = 0; oy < out_h; ++oy) {
      for (int64_t ox = 0; ox < out_w; ++ox, ++y) {
        const int64_t top = oy * spec.strides[0] - spec.pads[0];
        const int64_t left = ox * spec.strides[1] - spec.pads[1];
        *y = -std::numeric_limits<float>::infinity();
        for (int64_t iy = std::max<int64_t>(0, top); iy < std::min(h, top + spec.kernel[0]); ++iy) {
          for (int64_t ix = std::max<int64_t>(0, left); ix < std::min(w, left + spec.kernel[1]);
               ++ix) {
            *y = std::max(*y, x[iy * w + ix]);
          }
        }
      }
    }
  }
}

}  // namespace alcs
