// Tensors as ONNX Runtime hands them out.
#ifndef ALCS_CUSTOM_OPS_TENSOR_VIEW_H_
#define ALCS_CUSTOM_OPS_TENSOR_VIEW_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "ort_api.h"

namespace alcs::ort {

using Shape = std::vector<int64_t>;

// A tensor's shape and data, borrowed from ORT.
struct TensorView {
  Shape shape;
  const void* data = nullptr;
};

TensorView ViewOf(const OrtApi& api, const OrtValue* value);

// Sizes that are not known are negative; an unknown number of axes gives none.
Shape ShapeOf(const OrtApi& api, const OrtTensorTypeAndShapeInfo* info);

// "[1, 3, 224, 224]"
std::string Text(const Shape& shape);

// Throws an Error that names the input unless it has `rank` axes.
void CheckRank(const TensorView& view, std::size_t rank, const char* name);

}  // namespace alcs::ort

#endif  // ALCS_CUSTOM_OPS_TENSOR_VIEW_H_
