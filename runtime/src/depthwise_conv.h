// Depthwise convolution by kernels that read the input in place.
#ifndef ALCS_SRC_DEPTHWISE_CONV_H_
#define ALCS_SRC_DEPTHWISE_CONV_H_

#include <vector>

#include "alcs/conv.h"
#include "registry.h"
#include "sizes.h"
#include "tasks.h"

namespace alcs {

// `spec` counts words in the place of input channels and of conv groups.
template <class P>
struct DepthwiseLayer {
  ConvSpec spec;
  Registered<WindowKernel<P>> kernel;
  Registered<GateKernel<P>> gate;  // no kernel where the activation has no gate
  typename P::Epilogue epilogue;
  typename P::Word outside;                // of integers, what pixels outside the image are
  std::vector<typename P::Weight> values;  // as kernels::WindowArgs has them
  std::vector<typename P::Bias> bias;

  int64_t out_planes() const { return spec.out_channels / P::kChannels; }
};

// The depthwise kernel that computes `spec`, or null.
template <class P>
const Registered<WindowKernel<P>>* FindDepthwise(const ConvSpec& spec, Isa isa) {
  if (spec.group != spec.in_channels || spec.dilations[0] != 1 || spec.dilations[1] != 1) {
    return nullptr;
  }
  return FindWindow(KernelsOf<P>(isa).depthwise, spec.kernel, spec.strides);
}

// The weights [out_channels][taps], zero where none is stored, of values [nnz, simd_group] that
// have been checked.
template <class T>
std::vector<T> DepthwiseValues(const ConvSpec& spec, const T* values, const int32_t* positions,
                               int64_t nnz) {
  // One block per simd_group channels of a conv group.
  const int64_t taps = spec.kernel[0] * spec.kernel[1];
  const int64_t rows = spec.out_channels / spec.group;
  const int64_t blocks = CeilDiv(rows, spec.simd_group);
  std::vector<T> dense(static_cast<std::size_t>(spec.out_channels * taps));
  for (int64_t i = 0; i < nnz; ++i) {
    const int64_t block = positions[i] / taps, tap = positions[i] % taps;
    const int64_t first_row = block % blocks * spec.simd_group;
    for (int64_t r = 0; r < spec.simd_group && first_row + r < rows; ++r) {
      const int64_t channel = block / blocks * rows + first_row + r;
      dense[static_cast<std::size_t>(channel * taps + tap)] = values[i * spec.simd_group + r];
    }
  }
  return dense;
}

template <class P>
std::vector<Range> DepthwiseTasks(const DepthwiseLayer<P>& layer, const ConvSizes& sizes) {
  const int64_t touched = sizes.out_height * sizes.out_width + sizes.in_height * sizes.in_width;
  return SplitEvenly(layer.out_planes(), WindowTasks(layer.out_planes(), touched));
}

// One image, of planes of words.
template <class P>
void RunDepthwise(const DepthwiseLayer<P>& layer, const ConvSizes& sizes,
                  const std::vector<Range>& tasks, const typename P::Word* x,
                  const typename P::Word* residual, typename P::Word* y,
                  const ParallelFor& parallel) noexcept;

}  // namespace alcs

#endif  // ALCS_SRC_DEPTHWISE_CONV_H_
