#include "depthwise_conv.h"

#include <algorithm>

#include "cost_rule.h"
#include "parallel.h"
#include "sizes.h"

namespace alcs {
namespace {

constexpr int64_t kOneRow[1] = {0};

}  // namespace

const Registered<WindowKernel<Float32>>* FindDepthwise(const ConvSpec& spec, Isa isa) {
  if (spec.group != spec.in_channels || spec.dilations[0] != 1 || spec.dilations[1] != 1) {
    return nullptr;
  }
  return FindWindow(KernelsOf<Float32>(isa).depthwise, spec.kernel, spec.strides);
}

std::vector<float> DepthwiseValues(const ConvSpec& spec, const SparseWeightsView& weights) {
  // One block per g channels of a conv group.
  const int64_t taps = spec.kernel[0] * spec.kernel[1];
  const int64_t rows = spec.out_channels / spec.group;
  const int64_t blocks = CeilDiv(rows, spec.simd_group);
  std::vector<float> values(static_cast<std::size_t>(spec.out_channels * taps), 0.0F);
  for (int64_t i = 0; i < weights.nnz; ++i) {
    const int64_t block = weights.positions[i] / taps, tap = weights.positions[i] % taps;
    const int64_t first_row = block % blocks * spec.simd_group;
    for (int64_t r = 0; r < spec.simd_group && first_row + r < rows; ++r) {
      const int64_t channel = block / blocks * rows + first_row + r;
      values[static_cast<std::size_t>(channel * taps + tap)] =
          weights.values[i * spec.simd_group + r];
    }
  }
  return values;
}

std::vector<Range> DepthwiseTasks(const ConvSpec& spec, const ConvSizes& sizes) {
  const int64_t touched = sizes.out_height * sizes.out_width + sizes.in_height * sizes.in_width;
  return SplitEvenly(spec.out_channels, WindowTasks(spec.out_channels, touched));
}

void RunDepthwise(const DepthwiseLayer& layer, const ConvSizes& sizes,
                  const std::vector<Range>& tasks, const float* x, const float* residual, float* y,
                  const ParallelFor& parallel) noexcept {
  CountRun(layer.kernel.row);
  const auto* const gate = layer.gate.kernel;
  if (gate != nullptr) CountRun(layer.gate.row);
  const ConvSpec& spec = layer.spec;
  const int64_t pixels = sizes.out_height * sizes.out_width;
  kernels::WindowArgs<Float32> all = {};
  all.input = x;
  all.output = y;
  all.residual = residual;
  all.weights = layer.values.data();
  all.bias = layer.bias.data();
  all.multiplier = spec.out_channels / spec.in_channels;
  all.in_height = sizes.in_height;
  all.in_width = sizes.in_width;
  all.out_height = sizes.out_height;
  all.out_width = sizes.out_width;
  all.pad_top = spec.pads[0];
  all.pad_left = spec.pads[1];
  all.epilogue = layer.epilogue;
  ForEach(tasks.size(), parallel, [&](std::size_t i) {
    const Range& task = tasks[i];
    int64_t step = task.last - task.first;
    if (gate != nullptr) {
      step = std::min(step, std::max<int64_t>(1, cost::kGatedWords / pixels));
    }
    kernels::WindowArgs<Float32> args = all;
    for (int64_t first = task.first; first < task.last; first += step) {
      args.first_channel = first;
      args.last_channel = std::min(first + step, task.last);
      layer.kernel.kernel->run(args);
      if (gate == nullptr) continue;
      gate->run({y + first * pixels, kOneRow, 1, (args.last_channel - first) * pixels});
    }
  });
}

}  // namespace alcs
