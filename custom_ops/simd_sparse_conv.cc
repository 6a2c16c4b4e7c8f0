#include "simd_sparse_conv.h"

#include <type_traits>

#include "common_callbacks.h"
#include "node_attributes.h"
#include "shape_inference.h"
#include "sparse_conv_kernel.h"

namespace alcs::ort {
namespace {

template <class Element>
const SparseConvOp<Element>& Self(const OrtCustomOp* op) {
  return static_cast<const SparseConvOp<Element>&>(*op);
}

template <class Element>
const char* ORT_API_CALL Name(const OrtCustomOp* op) {
  return Self<Element>(op).form().name;
}

template <class Element>
std::size_t ORT_API_CALL InputCount(const OrtCustomOp* op) {
  return Self<Element>(op).form().input_count;
}

template <class Element>
ONNXTensorElementDataType ORT_API_CALL InputType(const OrtCustomOp* op, std::size_t index) {
  return Self<Element>(op).form().input_types[index];
}

ONNXTensorElementDataType ORT_API_CALL Bytes(const OrtCustomOp*, std::size_t) {
  return ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8;
}

template <class Element>
OrtStatus* ORT_API_CALL Create(const OrtCustomOp* op, const OrtApi* api, const OrtKernelInfo* info,
                               void** kernel) {
  *kernel = nullptr;
  return Guard(
      *api, [&] { *kernel = new SparseConvKernel<Element>(*api, info, Self<Element>(op).form()); });
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

template <class Element>
OrtStatus* ORT_API_CALL InferOutputShape(const OrtCustomOp* op, OrtShapeInferContext* context) {
  constexpr auto kLayout = std::is_same_v<Element, float> ? Layout::kPlanes : Layout::kWords;
  InferShape(Self<Element>(op).api(), context, [](const AttributeSource& source) {
    const NodeAttributes node = ReadNodeAttributes(source);
    return ShapeRule{node, node.spec.out_channels, kLayout};
  });
  return nullptr;
}

}  // namespace

template <class Element>
SparseConvOp<Element>::SparseConvOp(const OrtApi& api, const SparseConvForm<Element>& form)
    : CustomOp18{}, api_(api), form_(form) {
  SetCommonCallbacks(this);
  SetKernelCallbacks<SparseConvKernel<Element>>(this);
  GetName = Name<Element>;
  GetInputType = InputType<Element>;
  GetInputTypeCount = InputCount<Element>;
  if (!std::is_same_v<Element, float>) GetOutputType = Bytes;
  CreateKernelV2 = Create<Element>;
  InferOutputShapeFn = InferOutputShape<Element>;
  if (form.residual_input != 0) {
    GetMayInplace = form.residual_input == 4   ? MayInplace<4>
                    : form.residual_input == 5 ? MayInplace<5>
                                               : MayInplace<9>;
    ReleaseMayInplace = KeepInplace;
  }
}

template class SparseConvOp<float>;
template class SparseConvOp<uint8_t>;

}  // namespace alcs::ort
