// The sparse convolutions of the domain ai.alcs, as ONNX Runtime wants them told.
#ifndef ALCS_CUSTOM_OPS_SIMD_SPARSE_CONV_H_
#define ALCS_CUSTOM_OPS_SIMD_SPARSE_CONV_H_

#include "ort_api.h"
#include "sparse_conv_kernel.h"

namespace alcs::ort {

// Element types of inputs. A residual, and what tells of it, comes last.
inline constexpr ONNXTensorElementDataType kPlainInputs[] = {
    ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,  // X
    ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,  // values
    ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32,  // positions
    ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,  // bias
    ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,  // residual
};
inline constexpr ONNXTensorElementDataType kPackedInputs[] = {
    ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,  // X
    ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8,  // codes
    ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8,  // gaps
    ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,  // scales
    ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,  // bias
    ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,  // residual
};
inline constexpr ONNXTensorElementDataType kIntegerInputs[] = {
    ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8,  // X
    ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8,   // values
    ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32,  // positions
    ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,  // w_scale
    ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32,  // bias
    ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,  // x_scale
    ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8,  // x_zero_point
    ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,  // y_scale
    ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8,  // y_zero_point
    ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8,  // residual
    ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,  // residual_scale
    ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8,  // residual_zero_point
};

// THE registration of these operators, a row each.
inline constexpr SparseConvForm<float> kFloatConvs[] = {
    {"SimdSparseConv", kPlainInputs, 4, 0, MakePlainConv},
    {"SimdSparseConvAdd", kPlainInputs, 5, 4, MakePlainConv},
    {"QuantSparseConv", kPackedInputs, 5, 0, MakePackedConv},
    {"QuantSparseConvAdd", kPackedInputs, 6, 5, MakePackedConv},
};
inline constexpr SparseConvForm<uint8_t> kIntegerConvs[] = {
    {"QLinearSparseConv", kIntegerInputs, 9, 0, MakeIntegerConv},
    {"QLinearSparseConvAdd", kIntegerInputs, 12, 9, MakeIntegerConvAdd},
};

// ORT keeps the address of an operator for as long as any session uses it.
template <class Element>
class SparseConvOp : public CustomOp18 {
 public:
  SparseConvOp(const OrtApi& api, const SparseConvForm<Element>& form);
  SparseConvOp(const SparseConvOp&) = delete;
  SparseConvOp& operator=(const SparseConvOp&) = delete;

  const OrtApi& api() const { return api_; }
  const SparseConvForm<Element>& form() const { return form_; }

 private:
  const OrtApi& api_;
  const SparseConvForm<Element>& form_;
};

extern template class SparseConvOp<float>;
extern template class SparseConvOp<uint8_t>;

}  // namespace alcs::ort

#endif  // ALCS_CUSTOM_OPS_SIMD_SPARSE_CONV_H_
