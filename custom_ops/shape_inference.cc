#include "shape_inference.h"

#include <limits>
#include <string>
#include <vector>

#include "alcs/channel_words.h"

namespace alcs::ort {
namespace {

Dimension OutputDimension(const ConvSpec& spec, std::size_t axis, const Dimension& in) {
  if (in.size > std::numeric_limits<int32_t>::max()) return {};  // the engine will refuse it
  if (in.size >= 0) return {OutputSize(spec, axis, in.size), ""};
  if (in.name.empty()) return {};
  const int64_t pads = spec.pads[axis] + spec.pads[2 + axis];
  const int64_t shrink = spec.dilations[axis] * (spec.kernel[axis] - 1) - pads;
  if (spec.strides[axis] == 1 && shrink == 0) return in;
  return {-1, "((" + in.name + "-" + std::to_string(shrink + 1) + ")/" +
                  std::to_string(spec.strides[axis]) + "+1)"};
}

void Infer(const OrtApi& api, OrtShapeInferContext* context,
           ShapeRule (*read)(const AttributeSource& source)) {
  const ShapeRule rule = read(ShapeInferenceAttributes(api, context));
  const NodeAttributes& node = rule.node;
  const bool words = rule.layout == Layout::kWords;
  Dimensions sizes = InputDimensions(api, context);
  if (sizes.size() != node.rank() + (words ? 1 : 0)) return;
  if (rule.out_channels >= 0) {
    sizes[1] = {words ? WordsOf(rule.out_channels) : rule.out_channels, ""};
  }
  for (std::size_t i = 0; i < node.spatial_rank; ++i) {
    sizes[2 + i] = OutputDimension(node.spec, node.spec_axis(i), sizes[2 + i]);
  }
  SetOutput(api, context, sizes,
            words ? ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8 : ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT);
}

}  // namespace

Dimensions InputDimensions(const OrtApi& api, OrtShapeInferContext* context) {
  // ORT keeps what it hands out here.
  OrtTensorTypeAndShapeInfo* input = nullptr;
  Check(api, api.ShapeInferContext_GetInputTypeShape(context, 0, &input));
  std::size_t rank = 0;
  Check(api, api.GetDimensionsCount(input, &rank));
  std::vector<int64_t> sizes(rank);
  std::vector<const char*> names(rank, "");
  Check(api, api.GetDimensions(input, sizes.data(), rank));
  Check(api, api.GetSymbolicDimensions(input, names.data(), rank));
  Dimensions found(rank);
  for (std::size_t i = 0; i < rank; ++i) found[i] = {sizes[i], names[i]};
  return found;
}

void SetOutput(const OrtApi& api, OrtShapeInferContext* context, const Dimensions& output,
               ONNXTensorElementDataType type) {
  std::vector<int64_t> sizes;
  std::vector<const char*> names;
  for (const Dimension& dimension : output) {
    if (!dimension.known()) return;
    sizes.push_back(dimension.size);
    names.push_back(dimension.name.c_str());
  }
  Owned<OrtTensorTypeAndShapeInfo> shape(api.ReleaseTensorTypeAndShapeInfo);
  Check(api, api.CreateTensorTypeAndShapeInfo(shape.out()));
  Check(api, api.SetTensorElementType(shape.get(), type));
  Check(api, api.SetDimensions(shape.get(), sizes.data(), sizes.size()));
  Check(api, api.SetSymbolicDimensions(shape.get(), names.data(), names.size()));
  Check(api, api.ShapeInferContext_SetOutputTypeShape(context, 0, shape.get()));
}

void InferShape(const OrtApi& api, OrtShapeInferContext* context,
                ShapeRule (*read)(const AttributeSource& source)) noexcept {
  OrtStatus* status = Guard(api, [&] { Infer(api, context, read); });
  if (status != nullptr) api.ReleaseStatus(status);
}

}  // namespace alcs::ort
