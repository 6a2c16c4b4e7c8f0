// The constant inputs of a node, while its kernel is created.
#ifndef ALCS_CUSTOM_OPS_CONSTANT_INPUTS_H_
#define ALCS_CUSTOM_OPS_CONSTANT_INPUTS_H_

#include <cstddef>
#include <string>

#include "ort_api.h"
#include "tensor_view.h"

namespace alcs::ort {

// Input `index`, which must be constant and have `rank` axes; `name` is what errors call it.
inline TensorView ConstantInput(const OrtApi& api, const OrtKernelInfo* info, std::size_t index,
                                std::size_t rank, const char* name) {
  int is_constant = 0;
  const OrtValue* value = nullptr;
  Check(api, api.KernelInfoGetConstantInput_tensor(info, index, &is_constant, &value));
  if (is_constant == 0 || value == nullptr) {
    throw Error(std::string("input '") + name +
                "' has to be a constant initializer: weights are packed when the session is "
                "created");
  }
  TensorView view = ViewOf(api, value);
  CheckRank(view, rank, name);
  return view;
}

// A scalar.
template <class T>
T ConstantScalar(const OrtApi& api, const OrtKernelInfo* info, std::size_t index,
                 const char* name) {
  return *static_cast<const T*>(ConstantInput(api, info, index, 0, name).data);
}

}  // namespace alcs::ort

#endif  // ALCS_CUSTOM_OPS_CONSTANT_INPUTS_H_
