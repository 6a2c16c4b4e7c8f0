// The operators ai.alcs::SimdMaxPool and MaxPoolNC4HW4, as ONNX Runtime wants them told: MaxPool of
// floats that stays in NCHW, and of bytes that stay in words of four channels. ORT's own would
// bring its input into another layout and the output back, at more than its own cost.
#ifndef ALCS_CUSTOM_OPS_SIMD_MAX_POOL_H_
#define ALCS_CUSTOM_OPS_SIMD_MAX_POOL_H_

#include "ort_api.h"
#include "shape_inference.h"

namespace alcs::ort {

// ORT keeps the address of an operator for as long as any session uses it.
class MaxPoolOp : public CustomOp18 {
 public:
  MaxPoolOp(const OrtApi& api, Layout layout);
  MaxPoolOp(const MaxPoolOp&) = delete;
  MaxPoolOp& operator=(const MaxPoolOp&) = delete;

  const OrtApi& api() const { return api_; }
  Layout layout() const { return layout_; }

 private:
  const OrtApi& api_;
  const Layout layout_;
};

}  // namespace alcs::ort

#endif  // ALCS_CUSTOM_OPS_SIMD_MAX_POOL_H_
