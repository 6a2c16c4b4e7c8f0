#include "alcs/conv.h"

#include <algorithm>
#include <utility>

#include "layer_conv.h"
#include "reference.h"
#include "registry.h"

namespace alcs {
namespace {

Float32::Epilogue EpilogueOf(const Activation& act) {
  return {act.slope, act.low, act.high, act.slope != 1.0F, act.high < Activation().high};
}

// Plain loops over the weights as given.
struct PlainLayer {
  ConvSpec spec;
  std::vector<float> values, bias;
  std::vector<int32_t> positions;
};

class PlainPlan final : public ConvPlan {
 public:
  using Base = ConvPlan;
  using Layer = PlainLayer;
  using LayerPointer = std::shared_ptr<const Layer>;

  PlainPlan(LayerPointer layer, const ConvSizes& of) : ConvPlan(of, 0), layer_(std::move(layer)) {}

  static Status Make(const LayerPointer& layer, const ConvSizes& sizes,
                     std::shared_ptr<const ConvPlan>* plan) {
    *plan = std::make_shared<PlainPlan>(layer, sizes);
    return Status();
  }

  void Run(const float* x, const float* residual, float* y, void*,
           const ParallelFor&) const noexcept override {
    CountRun(ReferenceRow());
    const Layer& layer = *layer_;
    const SparseWeightsView view = {
        layer.values.data(),    static_cast<int64_t>(layer.values.size()),
        layer.positions.data(), static_cast<int64_t>(layer.positions.size()),
        layer.bias.data(),      layer.spec.out_channels};
    ReferenceConv(layer.spec, view, sizes, x, residual, y);
  }
  const char* kernel_name() const noexcept override { return RowName(ReferenceRow()); }
  std::string Describe() const override { return kernel_name(); }

 private:
  const LayerPointer layer_;
};

// The gate's kernel, if the activation has one.
Status GateOf(const Activation& act, Isa isa, Registered<GateKernel<Float32>>* gate) {
  const int number = static_cast<int>(act.gate);
  *gate = {};
  if (number == 0) return Status();
  const auto* row = FindGate<Float32>(isa, number);
  if (row == nullptr) {
    return Status::Error(std::string("gate ") + std::to_string(number) + " has no kernel for " +
                         IsaName(isa));
  }
  *gate = *row;
  return Status();
}

}  // namespace

Status CheckIsa(Isa isa) {
  const auto& supported = SupportedIsas();
  if (std::find(supported.begin(), supported.end(), isa) != supported.end()) return Status();
  return Status::Error(std::string("instruction set ") + IsaName(isa) + " is not supported here");
}

Status Conv::Create(const ConvSpec& spec, const SparseWeightsView& weights, Isa isa,
                    std::unique_ptr<Conv>* conv) {
  return Guarded([&]() -> Status {
    Status status = CheckIsa(isa);
    if (status.ok()) status = CheckWeights(spec, weights);
    if (!status.ok()) return status;
    const std::vector<float> bias(weights.bias, weights.bias + weights.bias_count);
    if (isa == Isa::kReference) {
      *conv = std::make_unique<LayerConv<Conv, PlainPlan>>(
          PlainLayer{spec,
                     {weights.values, weights.values + weights.value_count},
                     bias,
                     {weights.positions, weights.positions + weights.nnz}});
      return Status();
    }
    Registered<GateKernel<Float32>> gate;
    status = GateOf(spec.activation, isa, &gate);
    if (!status.ok()) return status;
    const Float32::Epilogue epilogue = EpilogueOf(spec.activation);
    if (const auto* depthwise = FindDepthwise<Float32>(spec, isa)) {
      *conv = std::make_unique<LayerConv<Conv, DepthwisePlan<Float32>>>(DepthwiseLayer<Float32>{
          spec, *depthwise, gate, epilogue, 0.0F,
          DepthwiseValues(spec, weights.values, weights.positions, weights.nnz), bias});
    } else {
      const StoredWeights<Float32> stored = {weights.values, weights.positions, weights.nnz,
                                             weights.bias};
      *conv = std::make_unique<LayerConv<Conv, TilesPlan<Float32>>>(TiledLayer<Float32>{
          spec, isa, epilogue, 0.0F, gate, PackRows(spec, stored, KernelsOf<Float32>(isa).tile)});
    }
    return Status();
  });
}

}  // namespace alcs
