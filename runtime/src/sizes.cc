#include "sizes.h"

#include <limits>
#include <string>

namespace alcs {

Status SizesOf(const ConvSpec& spec, int64_t n, int64_t h, int64_t w, ConvSizes* sizes) {
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  if (n < 0 || h < 1 || w < 1 || n > kMost || h > kMost || w > kMost) {
    return Status::Error("input of " + std::to_string(n) + " x " +
                         std::to_string(spec.in_channels) + " x " + std::to_string(h) + " x " +
                         std::to_string(w) + " is not supported");
  }
  const int64_t free_height =
      h + spec.pads[0] + spec.pads[2] - spec.dilations[0] * (spec.kernel[0] - 1) - 1;
  const int64_t free_width =
      w + spec.pads[1] + spec.pads[3] - spec.dilations[1] * (spec.kernel[1] - 1) - 1;
  if (free_height < 0 || free_width < 0) {
    return Status::Error("the kernel is larger than the padded input of " + std::to_string(h) +
                         " x " + std::to_string(w));
  }
  *sizes = {n, h, w, free_height / spec.strides[0] + 1, free_width / spec.strides[1] + 1};
  // An image of all channels must be addressable in 64 bits, a channel of it in 31.
  const auto most = static_cast<double>(kMost);
  if (static_cast<double>(sizes->out_height) * static_cast<double>(sizes->out_width) > most ||
      static_cast<double>(h) * static_cast<double>(w) > most) {
    return Status::Error("a channel of " + std::to_string(sizes->out_height) + " x " +
                         std::to_string(sizes->out_width) + " outputs is too large");
  }
  return Status();
}

}  // namespace alcs
