#include "alcs/max_pool.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <string>

#include "alcs/channel_words.h"
#include "parallel.h"
#include "reference.h"
#include "registry.h"
#include "sizes.h"
#include "tasks.h"

namespace alcs {
namespace {

const Registered<WindowKernel<Float32>>* FindKernel(const ConvSpec& spec, Isa isa) {
  return FindWindow(KernelsOf<Float32>(isa).max_pool, spec.kernel, spec.strides);
}

// The window on words of bytes, row by row: first down its columns, then along the row. What lies
// outside the image is 0, less than which no byte is.
class WordWindow {
 public:
  WordWindow(const ConvSpec& spec, int64_t h, int64_t w, int64_t out_w)
      : spec_(spec), h_(h), w_(w), out_w_(out_w) {}

  // Row `oy` of the output.
  void Row(const uint8_t* x, int64_t oy, uint8_t* y) {
    // As many pixels at a time as the buffers hold. Only windows that are themselves longer do not
    // fit, and are cut into single pixels.
    const int64_t fitting = (kWords - spec_.kernel[1]) / spec_.strides[1] + 1;
    const int64_t step = std::min<int64_t>(kPixels, std::max<int64_t>(fitting, 1));
    for (int64_t ox = 0; ox < out_w_; ox += step) {
      const int64_t pixels = std::min(step, out_w_ - ox);
      uint8_t* const to = y + ox * kWordChannels;
      std::memset(to, 0, static_cast<std::size_t>(pixels * kWordChannels));
      for (int64_t kx = 0; kx < spec_.kernel[1]; kx += kWords) {
        const int64_t taps = std::min(kWords, spec_.kernel[1] - kx);
        const int64_t span = (pixels - 1) * spec_.strides[1] + taps;
        Down(x, oy * spec_.strides[0] - spec_.pads[0], ox * spec_.strides[1] - spec_.pads[1] + kx,
             span);
        for (int64_t tap = 0; tap < taps; ++tap) Along(tap, pixels, to);
      }
    }
  }

 private:
  static constexpr int64_t kWords = 1024, kPixels = 256;

  // column_[i]: the largest of column `left` + i, of the kernel's rows from `top` on.
  void Down(const uint8_t* x, int64_t top, int64_t left, int64_t span) {
    std::memset(column_.data(), 0, static_cast<std::size_t>(span * kWordChannels));
    const int64_t first = std::max<int64_t>(0, -left), last = std::min(span, w_ - left);
    if (first >= last) return;
    uint8_t* __restrict const to = column_.data() + first * kWordChannels;
    for (int64_t iy = std::max<int64_t>(0, top); iy < std::min(h_, top + spec_.kernel[0]); ++iy) {
      const uint8_t* const from = x + (iy * w_ + left + first) * kWordChannels;
      for (int64_t i = 0; i < (last - first) * kWordChannels; ++i) to[i] = std::max(to[i], from[i]);
    }
  }

  // y[i] = max(y[i], column_[i * stride + tap]).
  void Along(int64_t tap, int64_t pixels, uint8_t* __restrict y) {
    const uint8_t* from = column_.data() + tap * kWordChannels;
    if (spec_.strides[1] != 1) {
      const int64_t stride = spec_.strides[1] * kWordChannels;
      for (int64_t i = 0; i < pixels; ++i) {
        std::memcpy(&strided_[static_cast<std::size_t>(i * kWordChannels)], from + i * stride, 4);
      }
      from = strided_.data();
    }
    for (int64_t i = 0; i < pixels * kWordChannels; ++i) y[i] = std::max(y[i], from[i]);
  }

  const ConvSpec& spec_;
  const int64_t h_, w_, out_w_;
  std::array<uint8_t, static_cast<std::size_t>(kWords* kWordChannels)> column_;
  std::array<uint8_t, static_cast<std::size_t>(kPixels* kWordChannels)> strided_;
};

}  // namespace

Status MaxPool::Create(const ConvSpec& spec, Isa isa, MaxPool* pool) {
  ConvSpec window;
  window.in_channels = window.out_channels = 1;
  for (int axis = 0; axis < 2; ++axis) {
    window.kernel[axis] = spec.kernel[axis];
    window.strides[axis] = spec.strides[axis];
    window.pads[axis] = spec.pads[axis];
    window.pads[axis + 2] = spec.pads[axis + 2];
    if (spec.dilations[axis] != 1) return Status::Error("dilations are not supported");
  }
  WeightGeometry geometry;
  Status status = CheckSpec(window, &geometry);
  if (!status.ok()) return status;
  for (int i = 0; i < 4; ++i) {
    if (window.pads[i] >= window.kernel[i % 2]) {
      return Status::Error("pads of " + std::to_string(window.pads[i]) + " for a window of " +
                           std::to_string(window.kernel[i % 2]));
    }
  }
  pool->spec_ = window;
  pool->isa_ = isa;
  return Status();
}

Status MaxPool::OutputSize(int64_t h, int64_t w, int64_t* out_h, int64_t* out_w) const {
  ConvSizes sizes;
  Status status = SizesOf(spec_, 1, h, w, &sizes);
  *out_h = sizes.out_height;
  *out_w = sizes.out_width;
  return status;
}

void MaxPool::Run(int64_t channels, int64_t h, int64_t w, const float* x, float* y,
                  const ParallelFor& parallel) const noexcept {
  int64_t out_h = 0, out_w = 0;
  if (!OutputSize(h, w, &out_h, &out_w).ok()) return;
  const auto* kernel = FindKernel(spec_, isa_);
  CountRun(kernel != nullptr ? kernel->row : ReferenceRow());
  const int64_t tasks = WindowTasks(channels, h * w + out_h * out_w);
  ForEach(static_cast<std::size_t>(tasks), parallel, [&](std::size_t i) {
    const Range task = Part(channels, tasks, static_cast<int64_t>(i));
    if (kernel == nullptr) {
      ReferenceMaxPool(spec_, task.last - task.first, h, w, out_h, out_w, x + task.first * h * w,
                       y + task.first * out_h * out_w);
    } else {
      kernels::WindowArgs<Float32> args = {};
      args.input = x;
      args.output = y;
      args.first_channel = task.first;
      args.last_channel = task.last;
      args.multiplier = 1;
      args.in_height = h;
      args.in_width = w;
      args.out_height = out_h;
      args.out_width = out_w;
      args.pad_top = spec_.pads[0];
      args.pad_left = spec_.pads[1];
      args.epilogue.low = -std::numeric_limits<float>::infinity();
      kernel->kernel->run(args);
    }
  });
}

void MaxPool::RunWords(int64_t words, int64_t h, int64_t w, const uint8_t* x, uint8_t* y,
                       const ParallelFor& parallel) const noexcept {
  int64_t out_h = 0, out_w = 0;
  if (!OutputSize(h, w, &out_h, &out_w).ok()) return;
  const int64_t tasks = WindowTasks(words, h * w + out_h * out_w);
  ForEach(static_cast<std::size_t>(tasks), parallel, [&](std::size_t i) {
    const Range task = Part(words, tasks, static_cast<int64_t>(i));
    WordWindow window(spec_, h, w, out_w);
    for (int64_t word = task.first; word < task.last; ++word) {
      for (int64_t oy = 0; oy < out_h; ++oy) {
        window.Row(x + word * h * w * kWordChannels, oy,
                   y + (word * out_h + oy) * out_w * kWordChannels);
      }
    }
  });
}

const char* MaxPool::kernel_name() const noexcept {
  const auto* kernel = FindKernel(spec_, isa_);
  return RowName(kernel != nullptr ? kernel->row : ReferenceRow());
}

}  // namespace alcs
