// The convolution of integers from a node's inputs: scales as ONNX has them become those of the
// engine, and channels whole words.
#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "alcs/channel_words.h"
#include "constant_inputs.h"
#include "conv_weights.h"

namespace alcs::ort {
namespace {

float ReadScale(const OrtApi& api, const OrtKernelInfo* info, std::size_t index, const char* name) {
  const float scale = ConstantScalar<float>(api, info, index, name);
  if (std::isfinite(scale) && scale > 0) return scale;
  throw Error(std::string("input '") + name + "' is " + std::to_string(scale) +
              ", and a scale is finite and greater than 0");
}

// The scale of each output channel over y's, as QLinearConv has it: x_scale * w_scale / y_scale.
std::vector<float> OutputScales(const OrtApi& api, const OrtKernelInfo* info, int64_t channels,
                                float x_scale, float y_scale) {
  const TensorView given = ConstantInput(api, info, 3, 1, "w_scale");
  const int64_t count = given.shape[0];
  if (count != 1 && count != channels) {
    throw Error("input 'w_scale' has " + std::to_string(count) + " scales, expected 1 or " +
                std::to_string(channels));
  }
  const auto* w_scales = static_cast<const float*>(given.data);
  std::vector<float> scales;
  for (int64_t m = 0; m < channels; ++m) {
    const float w_scale = w_scales[count == 1 ? 0 : m];
    if (!std::isfinite(w_scale) || w_scale < 0) {
      throw Error("input 'w_scale' has " + std::to_string(w_scale) +
                  ", and a scale is finite and not negative");
    }
    scales.push_back(x_scale * w_scale / y_scale);
  }
  return scales;
}

// A limit of y, in steps of it. What is beyond all floats is so after the division, too.
float InSteps(float limit, float y_scale) {
  constexpr float kMost = std::numeric_limits<float>::max();
  return std::clamp(limit / y_scale, -kMost, kMost);
}

// Channels of a depthwise convolution, and those of one without groups, fill whole words.
ConvSpec InWholeWords(const ConvSpec& spec) {
  ConvSpec whole = spec;
  const bool depthwise = IsDepthwise(spec);
  if (spec.group > 1 && !depthwise) return whole;
  whole.in_channels = WordsOf(spec.in_channels) * kWordChannels;
  whole.out_channels = WordsOf(spec.out_channels) * kWordChannels;
  if (depthwise) whole.group = whole.in_channels;
  return whole;
}

std::unique_ptr<ConvOf<uint8_t>> Make(const OrtApi& api, const OrtKernelInfo* info,
                                      const NodeAttributes& attributes, bool residual, Isa isa) {
  const ConvSpec& spec = attributes.spec;
  const TensorView values = ConstantInput(api, info, 1, 3, "values");
  const TensorView positions = ConstantInput(api, info, 2, 1, "positions");
  const TensorView bias = ConstantInput(api, info, 4, 1, "bias");
  const float x_scale = ReadScale(api, info, 5, "x_scale");
  const float y_scale = ReadScale(api, info, 7, "y_scale");
  std::vector<float> scales = OutputScales(api, info, spec.out_channels, x_scale, y_scale);
  if (bias.shape[0] != spec.out_channels) {
    throw Error(std::to_string(bias.shape[0]) + " biases for " + std::to_string(spec.out_channels) +
                " output channels");
  }

  QuantizedSpec quantized;
  quantized.conv = InWholeWords(spec);
  quantized.conv.activation.low = InSteps(spec.activation.low, y_scale);
  quantized.conv.activation.high = InSteps(spec.activation.high, y_scale);
  quantized.x_zero = ConstantScalar<uint8_t>(api, info, 6, "x_zero_point");
  quantized.y_zero = ConstantScalar<uint8_t>(api, info, 8, "y_zero_point");
  if (residual) {
    quantized.residual_scale = ReadScale(api, info, 10, "residual_scale") / y_scale;
    quantized.residual_zero = ConstantScalar<uint8_t>(api, info, 11, "residual_zero_point");
  }
  const int64_t bytes = IsDepthwise(spec) ? 1 : kWordChannels;
  if (values.shape[1] != spec.simd_group || values.shape[2] != bytes) {
    throw Error("input 'values' has the shape " + Text(values.shape) + " where [stored, " +
                std::to_string(spec.simd_group) + ", " + std::to_string(bytes) + "] is needed");
  }

  const auto* first_bias = static_cast<const int32_t*>(bias.data);
  std::vector<int32_t> biases(first_bias, first_bias + spec.out_channels);
  const auto whole = static_cast<std::size_t>(quantized.conv.out_channels);
  biases.resize(whole);
  scales.resize(whole);
  const QuantizedWeightsView view = {static_cast<const int8_t*>(values.data),
                                     values.shape[0] * values.shape[1] * values.shape[2],
                                     static_cast<const int32_t*>(positions.data),
                                     positions.shape[0],
                                     biases.data(),
                                     quantized.conv.out_channels,
                                     scales.data(),
                                     quantized.conv.out_channels};
  std::unique_ptr<QuantizedConv> conv;
  const Status status = QuantizedConv::Create(quantized, view, isa, &conv);
  if (!status.ok()) throw Error(status.message());
  return conv;
}

}  // namespace

std::unique_ptr<ConvOf<uint8_t>> MakeIntegerConv(const OrtApi& api, const OrtKernelInfo* info,
                                                 const NodeAttributes& attributes, Isa isa) {
  return Make(api, info, attributes, false, isa);
}

std::unique_ptr<ConvOf<uint8_t>> MakeIntegerConvAdd(const OrtApi& api, const OrtKernelInfo* info,
                                                    const NodeAttributes& attributes, Isa isa) {
  return Make(api, info, attributes, true, isa);
}

}  // namespace alcs::ort
