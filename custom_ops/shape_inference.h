// The shapes of outputs, told to ONNX Runtime while it loads a graph.
#ifndef ALCS_CUSTOM_OPS_SHAPE_INFERENCE_H_
#define ALCS_CUSTOM_OPS_SHAPE_INFERENCE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "node_attributes.h"
#include "ort_api.h"

namespace alcs::ort {

// How a tensor holds channels: floats [N, C, spatial axes], or bytes [N, C / 4, spatial axes, 4].
enum class Layout { kPlanes, kWords };

// A window that slides over the spatial axes, and the output's channels: negative for as many as
// the input has. Input and output have the same layout.
struct ShapeRule {
  NodeAttributes node;
  int64_t out_channels;
  Layout layout = Layout::kPlanes;
};

// The sizes of a tensor: a number each, or a name when it is only that. Equal names promise ORT
// equal sizes, so a name that changes tells how it came about.
struct Dimension {
  int64_t size = -1;
  std::string name;

  bool known() const { return size >= 0 || !name.empty(); }
};
using Dimensions = std::vector<Dimension>;

// What the graph knows of input 0.
Dimensions InputDimensions(const OrtApi& api, OrtShapeInferContext* context);

// Tells what output 0 is; nothing where a size is not known at all, which ORT cannot be told.
void SetOutput(const OrtApi& api, OrtShapeInferContext* context, const Dimensions& output,
               ONNXTensorElementDataType type);

// Infers output 0 from input 0 by the rule that `read` finds in the node's attributes. ORT ignores
// the status of this callback and never frees it. A node that is wrong therefore just gets no
// shape here; creating its kernel then fails with the reason and the node's name.
void InferShape(const OrtApi& api, OrtShapeInferContext* context,
                ShapeRule (*read)(const AttributeSource& source)) noexcept;

}  // namespace alcs::ort

#endif  // ALCS_CUSTOM_OPS_SHAPE_INFERENCE_H_
