#include "tensor_view.h"

namespace alcs::ort {

Shape ShapeOf(const OrtApi& api, const OrtTensorTypeAndShapeInfo* info) {
  std::size_t rank = 0;
  Check(api, api.GetDimensionsCount(info, &rank));
  Shape shape(rank);
  Check(api, api.GetDimensions(info, shape.data(), rank));
  return shape;
}

TensorView ViewOf(const OrtApi& api, const OrtValue* value) {
  TensorView view;
  Owned<OrtTensorTypeAndShapeInfo> info(api.ReleaseTensorTypeAndShapeInfo);
  Check(api, api.GetTensorTypeAndShape(value, info.out()));
  view.shape = ShapeOf(api, info.get());
  // Read only; ORT has no other accessor in API 18.
  void* data = nullptr;
  Check(api, api.GetTensorMutableData(const_cast<OrtValue*>(value), &data));
  view.data = data;
  return view;
}

std::string Text(const Shape& shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  }
  return text + "]";
}

void CheckRank(const TensorView& view, std::size_t rank, const char* name) {
  if (view.shape.size() == rank) return;
  throw Error(std::string("input '") + name + "' has the shape " + Text(view.shape) + " where " +
              std::to_string(rank) + " axes are needed");
}

}  // namespace alcs::ort
