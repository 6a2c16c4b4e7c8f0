// What all operators of this library tell ONNX Runtime alike.
#ifndef ALCS_CUSTOM_OPS_COMMON_CALLBACKS_H_
#define ALCS_CUSTOM_OPS_COMMON_CALLBACKS_H_

#include "ort_api.h"

namespace alcs::ort {

// One float output, required inputs in ordinary memory, on the CPU, of every opset version. The
// rest is the operator's: its name, its inputs, its kernel.
void SetCommonCallbacks(CustomOp18* op);

}  // namespace alcs::ort

#endif  // ALCS_CUSTOM_OPS_COMMON_CALLBACKS_H_
