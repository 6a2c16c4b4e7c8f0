#include "shape_inference.h"

#include <limits>
#include <string>
#include <vector>

namespace alcs::ort {
namespace {

// The output's size along one axis: a number, or a name when the input's is only a name. Equal
// names promise ORT equal sizes, so a name that changes tells how it came about.
struct Dimension {
  int64_t size = -1;
  std::string name;

  bool known() const { return size >= 0 || !name.empty(); }
};

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
  // ORT keeps what it hands out here.
  OrtTensorTypeAndShapeInfo* input = nullptr;
  Check(api, api.ShapeInferContext_GetInputTypeShape(context, 0, &input));
  std::size_t rank = 0;
  Check(api, api.GetDimensionsCount(input, &rank));
  if (rank != node.rank()) return;
  std::vector<int64_t> sizes(rank);
  std::vector<const char*> names(rank, "");
  Check(api, api.GetDimensions(input, sizes.data(), rank));
  Check(api, api.GetSymbolicDimensions(input, names.data(), rank));

  std::vector<Dimension> output(rank);
  output[0] = {sizes[0], names[0]};
  output[1] = {sizes[1], names[1]};
  if (rule.out_channels >= 0) output[1] = {rule.out_channels, ""};
  for (std::size_t i = 0; i < node.spatial_rank; ++i) {
    output[2 + i] = OutputDimension(node.spec, node.spec_axis(i), {sizes[2 + i], names[2 + i]});
  }
  for (std::size_t i = 0; i < rank; ++i) {
    if (!output[i].known()) return;  // ORT has no way to be told of a nameless unknown size
    sizes[i] = output[i].size;
    names[i] = output[i].name.c_str();
  }
  Owned<OrtTensorTypeAndShapeInfo> shape(api.ReleaseTensorTypeAndShapeInfo);
  Check(api, api.CreateTensorTypeAndShapeInfo(shape.out()));
  Check(api, api.SetTensorElementType(shape.get(), ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT));
  Check(api, api.SetDimensions(shape.get(), sizes.data(), rank));
  Check(api, api.SetSymbolicDimensions(shape.get(), names.data(), rank));
  Check(api, api.ShapeInferContext_SetOutputTypeShape(context, 0, shape.get()));
}

}  // namespace

void InferShape(const OrtApi& api, OrtShapeInferContext* context,
                ShapeRule (*read)(const AttributeSource& source)) noexcept {
  OrtStatus* status = Guard(api, [&] { Infer(api, context, read); });
  if (status != nullptr) api.ReleaseStatus(status);
}

}  // namespace alcs::ort
