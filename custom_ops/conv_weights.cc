#include "conv_weights.h"

#include <string>
#include <vector>

#include "alcs/packed_weights.h"
#include "constant_inputs.h"

namespace alcs::ort {
namespace {

std::unique_ptr<ConvOf<float>> MakeFloatConv(const NodeAttributes& attributes,
                                             const SparseWeightsView& weights, Isa isa) {
  std::unique_ptr<Conv> conv;
  const Status status = Conv::Create(attributes.spec, weights, isa, &conv);
  if (!status.ok()) throw Error(status.message());
  return conv;
}

void ReadBias(const OrtApi& api, const OrtKernelInfo* info, std::size_t index,
              SparseWeightsView* view) {
  const TensorView bias = ConstantInput(api, info, index, 1, "bias");
  view->bias = static_cast<const float*>(bias.data);
  view->bias_count = bias.shape[0];
}

}  // namespace

std::unique_ptr<ConvOf<float>> MakePlainConv(const OrtApi& api, const OrtKernelInfo* info,
                                             const NodeAttributes& attributes, Isa isa) {
  const TensorView values = ConstantInput(api, info, 1, 2, "values");
  const TensorView positions = ConstantInput(api, info, 2, 1, "positions");
  if (values.shape[1] != attributes.spec.simd_group) {
    throw Error(
        "input 'values' has the shape " + Text(values.shape) +
        ", whose second axis is not simd_group = " + std::to_string(attributes.spec.simd_group));
  }
  SparseWeightsView view;
  ReadBias(api, info, 3, &view);
  view.values = static_cast<const float*>(values.data);
  view.value_count = values.shape[0] * values.shape[1];
  view.positions = static_cast<const int32_t*>(positions.data);
  view.nnz = positions.shape[0];
  return MakeFloatConv(attributes, view, isa);
}

std::unique_ptr<ConvOf<float>> MakePackedConv(const OrtApi& api, const OrtKernelInfo* info,
                                              const NodeAttributes& attributes, Isa isa) {
  const TensorView codes = ConstantInput(api, info, 1, 1, "codes");
  const TensorView gaps = ConstantInput(api, info, 2, 1, "gaps");
  const TensorView scales = ConstantInput(api, info, 3, 1, "scales");
  SparseWeightsView view;
  ReadBias(api, info, 4, &view);

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
  std::vector<float> values;
  std::vector<int32_t> positions;
  const Status status = UnpackWeights(attributes.spec, packed, &values, &positions);
  if (!status.ok()) throw Error(status.message());

  view.values = values.data();
  view.value_count = static_cast<int64_t>(values.size());
  view.positions = positions.data();
  view.nnz = static_cast<int64_t>(positions.size());
  return MakeFloatConv(attributes, view, isa);
}

}  // namespace alcs::ort
