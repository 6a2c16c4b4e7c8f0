#include "depthwise_conv.h"

#include <algorithm>

#include "cost_rule.h"
#include "parallel.h"

namespace alcs {
namespace {

constexpr int64_t kOneRow[1] = {0};

}  // namespace

template <class P>
void RunDepthwise(const DepthwiseLayer<P>& layer, const ConvSizes& sizes,
                  const std::vector<Range>& tasks, const typename P::Word* x,
                  const typename P::Word* residual, typename P::Word* y,
                  const ParallelFor& parallel) noexcept {
  CountRun(layer.kernel.row);
  const auto* const gate = layer.gate.kernel;
  if (gate != nullptr) CountRun(layer.gate.row);
  const ConvSpec& spec = layer.spec;
  const int64_t pixels = sizes.out_height * sizes.out_width;
  kernels::WindowArgs<P> all = {};
  all.input = x;
  all.output = y;
  all.residual = residual;
  all.weights = layer.values.data();
  all.bias = layer.bias.data();
  all.multiplier = layer.out_planes() / spec.in_channels;
  all.outside = layer.outside;
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
    kernels::WindowArgs<P> args = all;
    for (int64_t first = task.first; first < task.last; first += step) {
      args.first_channel = first;
      args.last_channel = std::min(first + step, task.last);
      layer.kernel.kernel->run(args);
      if (gate == nullptr) continue;
      gate->run({y + first * pixels, kOneRow, 1, (args.last_channel - first) * pixels});
    }
  });
}

template void RunDepthwise(const DepthwiseLayer<Float32>&, const ConvSizes&,
                           const std::vector<Range>&, const float*, const float*, float*,
                           const ParallelFor&) noexcept;
template void RunDepthwise(const DepthwiseLayer<Uint8>&, const ConvSizes&,
                           const std::vector<Range>&, const Uint8::Word*, const Uint8::Word*,
                           Uint8::Word*, const ParallelFor&) noexcept;

}  // namespace alcs
