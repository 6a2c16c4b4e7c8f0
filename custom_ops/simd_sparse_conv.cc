#include "simd_sparse_conv.h"

#include "common_callbacks.h"
#include "node_attributes.h"
#include "shape_inference.h"
#include "sparse_conv_kernel.h"

namespace alcs::ort {
namespace {

const SparseConvOp& Self(const OrtCustomOp* op) { return static_cast<const SparseConvOp&>(*op); }

const char* ORT_API_CALL Name(const OrtCustomOp* op) { return Self(op).form().name; }

std::size_t ORT_API_CALL InputCount(const OrtCustomOp* op) { return Self(op).form().input_count(); }

ONNXTensorElementDataType ORT_API_CALL InputType(const OrtCustomOp* op, std::size_t index) {
  const SparseConvForm& form = Self(op).form();
  const bool of_weights = index >= 1 && index < form.bias_input;
  return of_weights ? form.weight_types[index - 1] : ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
}

OrtStatus* ORT_API_CALL Create(const OrtCustomOp* op, const OrtApi* api, const OrtKernelInfo* info,
                               void** kernel) {
  *kernel = nullptr;
  return Guard(*api, [&] { *kernel = new SparseConvKernel(*api, info, Self(op).form()); });
}

// The residual's memory may become the output's when nothing else needs it any more. ORT hands the
// arrays back to the second function; they are not its to free. It does not say which operator it
// asks about, so there is one function for each place of the residual.
template <int kResidual>
std::size_t ORT_API_CALL MayInplace(int** input, int** output) {
  static int residual_input[] = {kResidual};
  static int only_output[] = {0};
  *input = residual_input;
  *output = only_output;
  return 1;
}

void ORT_API_CALL KeepInplace(int*, int*) {}

OrtStatus* ORT_API_CALL InferOutputShape(const OrtCustomOp* op, OrtShapeInferContext* context) {
  InferShape(Self(op).api(), context, [](const AttributeSource& source) {
    const NodeAttributes node = ReadNodeAttributes(source);
    return ShapeRule{node, node.spec.out_channels};
  });
  return nullptr;
}

}  // namespace

SparseConvOp::SparseConvOp(const OrtApi& api, const SparseConvForm& form)
    : CustomOp18{}, api_(api), form_(form) {
  SetCommonCallbacks(this);
  SetKernelCallbacks<SparseConvKernel>(this);
  GetName = Name;
  GetInputType = InputType;
  GetInputTypeCount = InputCount;
  CreateKernelV2 = Create;
  InferOutputShapeFn = InferOutputShape;
  if (form.residual) {
    GetMayInplace = form.residual_input() == 4 ? MayInplace<4> : MayInplace<5>;
    ReleaseMayInplace = KeepInplace;
  }
}

}  // namespace alcs::ort
