// The sparse convolutions of the domain ai.alcs, as ONNX Runtime wants them told.
#ifndef ALCS_CUSTOM_OPS_SIMD_SPARSE_CONV_H_
#define ALCS_CUSTOM_OPS_SIMD_SPARSE_CONV_H_

#include "ort_api.h"
#include "sparse_conv_kernel.h"

namespace alcs::ort {

// THE registration of these operators, a row each.
inline constexpr SparseConvForm kSparseConvForms[] = {
    {"SimdSparseConv", kPlainInputs, 3, false, ReadPlainWeights},
    {"SimdSparseConvAdd", kPlainInputs, 3, true, ReadPlainWeights},
    {"QuantSparseConv", kPackedInputs, 4, false, ReadPackedWeights},
    {"QuantSparseConvAdd", kPackedInputs, 4, true, ReadPackedWeights},
};

// ORT keeps the address of an operator for as long as any session uses it.
class SparseConvOp : public CustomOp18 {
 public:
  SparseConvOp(const OrtApi& api, const SparseConvForm& form);
  SparseConvOp(const SparseConvOp&) = delete;
  SparseConvOp& operator=(const SparseConvOp&) = delete;

  const OrtApi& api() const { return api_; }
  const SparseConvForm& form() const { return form_; }

 private:
  const OrtApi& api_;
  const SparseConvForm& form_;
};

}  // namespace alcs::ort

#endif  // ALCS_CUSTOM_OPS_SIMD_SPARSE_CONV_H_
