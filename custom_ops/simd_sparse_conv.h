// The operators ai.alcs::SimdSparseConv and SimdSparseConvAdd, as ONNX Runtime wants them told.
#ifndef ALCS_CUSTOM_OPS_SIMD_SPARSE_CONV_H_
#define ALCS_CUSTOM_OPS_SIMD_SPARSE_CONV_H_

#include "ort_api.h"

namespace alcs::ort {

// ORT keeps the address of an operator for as long as any session uses it.
class SparseConvOp : public CustomOp18 {
 public:
  // With `residual` it is SimdSparseConvAdd, which has one input more.
  SparseConvOp(const OrtApi& api, bool residual);
  SparseConvOp(const SparseConvOp&) = delete;
  SparseConvOp& operator=(const SparseConvOp&) = delete;

  const OrtApi& api() const { return api_; }
  bool residual() const { return residual_; }

 private:
  const OrtApi& api_;
  const bool residual_;
};

}  // namespace alcs::ort

#endif  // ALCS_CUSTOM_OPS_SIMD_SPARSE_CONV_H_
