#include "conv_weights.h"

#include <string>

#include "alcs/packed_weights.h"
#include "tensor_view.h"

namespace alcs::ort {
namespace {

TensorView ConstantView(const OrtApi& api, const OrtKernelInfo* info, std::size_t index,
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

void ReadBias(const OrtApi& api, const OrtKernelInfo* info, std::size_t index,
              SparseWeightsView* view) {
  const TensorView bias = ConstantView(api, info, index, 1, "bias");
  view->bias = static_cast<const float*>(bias.data);
  view->bias_count = bias.shape[0];
}

}  // namespace

void ReadPlainWeights(const OrtApi& api, const OrtKernelInfo* info,
                      const NodeAttributes& attributes, ConvWeights* weights) {
  const TensorView values = ConstantView(api, info, 1, 2, "values");
  const TensorView positions = ConstantView(api, info, 2, 1, "positions");
  ReadBias(api, info, 3, &weights->view);
  if (values.shape[1] != attributes.spec.simd_group) {
    throw Error(
        "input 'values' has the shape " + Text(values.shape) +
        ", whose second axis is not simd_group = " + std::to_string(attributes.spec.simd_group));
  }
  SparseWeightsView& view = weights->view;
  view.values = static_cast<const float*>(values.data);
  view.value_count = values.shape[0] * values.shape[1];
  view.positions = static_cast<const int32_t*>(positions.data);
  view.nnz = positions.shape[0];
}

void ReadPackedWeights(const OrtApi& api, const OrtKernelInfo* info,
                       const NodeAttributes& attributes, ConvWeights* weights) {
  const TensorView codes = ConstantView(api, info, 1, 1, "codes");
  const TensorView gaps = ConstantView(api, info, 2, 1, "gaps");
  const TensorView scales = ConstantView(api, info, 3, 1, "scales");
  ReadBias(api, info, 4, &weights->view);

  const KernelAttributes numbers(api, info);
  PackedWeightsView packed;
  packed.codes = static_cast<const uint8_t*>(codes.data);
  packed.code_bytes = codes.shape[0];
  packed.gaps = static_cast<const uint8_t*>(gaps.data);
  packed.gap_bytes = gaps.shape[0];
  packed.scales = static_cast<const float*>(scales.data);
  packed.scale_count = scales.shape[0];
  packed.bits = numbers.Int("bits");
  packed.index_bits = numbers.Int("index_bits");
  packed.stored = numbers.Int("stored");
  packed.first_level = numbers.Int("first_level");
  packed.level_step = numbers.Int("level_step");
  const Status status =
      UnpackWeights(attributes.spec, packed, &weights->values, &weights->positions);
  if (!status.ok()) throw Error(status.message());

  SparseWeightsView& view = weights->view;
  view.values = weights->values.data();
  view.value_count = static_cast<int64_t>(weights->values.size());
  view.positions = weights->positions.data();
  view.nnz = static_cast<int64_t>(weights->positions.size());
}

}  // namespace alcs::ort
