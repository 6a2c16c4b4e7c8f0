// The shapes of outputs, told to ONNX Runtime while it loads a graph.
#ifndef ALCS_CUSTOM_OPS_SHAPE_INFERENCE_H_
#define ALCS_CUSTOM_OPS_SHAPE_INFERENCE_H_

#include "node_attributes.h"
#include "ort_api.h"

namespace alcs::ort {

// A window that slides over the spatial axes, and the output's channels: negative for as many as
// the input has.
struct ShapeRule {
  NodeAttributes node;
  int64_t out_channels;
};

// Infers output 0 from input 0 by the rule that `read` finds in the node's attributes. ORT ignores
// the status of this callback and never frees it. A node that is wrong therefore just gets no
// shape here; creating its kernel then fails with the reason and the node's name.
void InferShape(const OrtApi& api, OrtShapeInferContext* context,
                ShapeRule (*read)(const AttributeSource& source)) noexcept;

}  // namespace alcs::ort

#endif  // ALCS_CUSTOM_OPS_SHAPE_INFERENCE_H_
