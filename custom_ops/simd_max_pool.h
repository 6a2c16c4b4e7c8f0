// The operator ai.alcs::SimdMaxPool, as ONNX Runtime wants it told: MaxPool that stays in NCHW.
// ORT's own would bring its input into another layout and the output back, at more than its own
// cost.
#ifndef ALCS_CUSTOM_OPS_SIMD_MAX_POOL_H_
#define ALCS_CUSTOM_OPS_SIMD_MAX_POOL_H_

#include "ort_api.h"

namespace alcs::ort {

// ORT keeps the address of an operator for as long as any session uses it.
class MaxPoolOp : public CustomOp18 {
 public:
  explicit MaxPoolOp(const OrtApi& api);
  MaxPoolOp(const MaxPoolOp&) = delete;
  MaxPoolOp& operator=(const MaxPoolOp&) = delete;

  const OrtApi& api() const { return api_; }

 private:
  const OrtApi& api_;
};

}  // namespace alcs::ort

#endif  // ALCS_CUSTOM_OPS_SIMD_MAX_POOL_H_
