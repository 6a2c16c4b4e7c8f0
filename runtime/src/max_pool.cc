#include "alcs/max_pool.h"

#include <limits>
#include <string>

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

const char* MaxPool::kernel_name() const noexcept {
  const auto* kernel = FindKernel(spec_, isa_);
  return RowName(kernel != nullptr ? kernel->row : ReferenceRow());
}

}  // namespace alcs
