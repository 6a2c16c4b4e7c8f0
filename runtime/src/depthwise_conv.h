// Depthwise convolution by kernels that read the input in place.
#ifndef ALCS_SRC_DEPTHWISE_CONV_H_
#define ALCS_SRC_DEPTHWISE_CONV_H_

#include <vector>

#include "alcs/conv.h"
#include "registry.h"
#include "tasks.h"

namespace alcs {

struct DepthwiseLayer {
  ConvSpec spec;
  Registered<WindowKernel<Float32>> kernel;
  Registered<GateKernel<Float32>> gate;  // no kernel where the activation has no gate
  Float32::Epilogue epilogue;
  std::vector<float> values;  // [out_channels][taps], with the zeros
  std::vector<float> bias;
};

// The depthwise kernel that computes `spec`, or null.
const Registered<WindowKernel<Float32>>* FindDepthwise(const ConvSpec& spec, Isa isa);

// The weights [out_channels][taps], zero where none is stored. `weights` has been checked.
std::vector<float> DepthwiseValues(const ConvSpec& spec, const SparseWeightsView& weights);

std::vector<Range> DepthwiseTasks(const ConvSpec& spec, const ConvSizes& sizes);

// One image.
void RunDepthwise(const DepthwiseLayer& layer, const ConvSizes& sizes,
                  const std::vector<Range>& tasks, const float* x, const float* residual, float* y,
                  const ParallelFor& parallel) noexcept;

}  // namespace alcs

#endif  // ALCS_SRC_DEPTHWISE_CONV_H_
