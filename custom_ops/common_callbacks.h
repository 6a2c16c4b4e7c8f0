// What all operators of this library tell ONNX Runtime alike.
#ifndef ALCS_CUSTOM_OPS_COMMON_CALLBACKS_H_
#define ALCS_CUSTOM_OPS_COMMON_CALLBACKS_H_

#include "ort_api.h"

namespace alcs::ort {

// Float inputs and one float output, the inputs required, in ordinary memory, on the CPU, of every
// opset version. The rest is the operator's: its name, its number of inputs, its kernel.
void SetCommonCallbacks(CustomOp18* op);

// What ORT does with a kernel, once there is one. Kernel has api() and Compute(context).
template <typename Kernel>
void SetKernelCallbacks(CustomOp18* op) {
  op->KernelComputeV2 = [](void* kernel, OrtKernelContext* context) -> OrtStatus* {
    auto& self = *static_cast<Kernel*>(kernel);
    return Guard(self.api(), [&] { self.Compute(context); });
  };
  op->KernelDestroy = [](void* kernel) { delete static_cast<Kernel*>(kernel); };
}

}  // namespace alcs::ort

#endif  // ALCS_CUSTOM_OPS_COMMON_CALLBACKS_H_
