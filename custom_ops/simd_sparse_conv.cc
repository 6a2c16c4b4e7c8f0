#include "simd_sparse_conv.h"

#include "common_callbacks.h"
#include "node_attributes.h"
#include "shape_inference.h"
#include "sparse_conv_kernel.h"

namespace alcs::ort {
namespace {

const SparseConvOp& Self(const OrtCustomOp* op) { return static_cast<const SparseConvOp&>(*op); }

const char* ORT_API_CALL Name(const OrtCustomOp* op) {
  return Self(op).residual() ? "SimdSparseConvAdd" : "SimdSparseConv";
}

std::size_t ORT_API_CALL InputCount(const OrtCustomOp* op) { return Self(op).residual() ? 5 : 4; }

ONNXTensorElementDataType ORT_API_CALL InputType(const OrtCustomOp*, std::size_t index) {
  constexpr std::size_t kPositions = 2;
  return index == kPositions ? ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32
                             : ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
}

OrtStatus* ORT_API_CALL Create(const OrtCustomOp* op, const OrtApi* api, const OrtKernelInfo* info,
                               void** kernel) {
  *kernel = nullptr;
  return Guard(*api, [&] { *kernel = new SparseConvKernel(*api, info, Self(op).residual()); });
}

// The residual's memory may become the output's when nothing else needs it any more. ORT hands the
// arrays back to the second function; they are not its to free.
int residual_input[] = {4};
int only_output[] = {0};

std::size_t ORT_API_CALL MayInplace(int** input, int** output) {
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

SparseConvOp::SparseConvOp(const OrtApi& api, bool residual)
    : CustomOp18{}, api_(api), residual_(residual) {
  SetCommonCallbacks(this);
  SetKernelCallbacks<SparseConvKernel>(this);
  GetName = Name;
  GetInputType = InputType;
  GetInputTypeCount = InputCount;
  CreateKernelV2 = Create;
  InferOutputShapeFn = InferOutputShape;
  if (residual) {
    GetMayInplace = MayInplace;
    ReleaseMayInplace = KeepInplace;
  }
}

}  // namespace alcs::ort
