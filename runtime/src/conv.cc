#include "alcs/conv.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "depthwise_conv.h"
#include "reference.h"
#include "registry.h"
#include "sizes.h"
#include "tiled_conv.h"

namespace alcs {
namespace {

// Turns what the standard library throws (only for want of memory) into a Status.
template <class Body>
Status Guarded(Body&& body) noexcept {
  try {
    return body();
  } catch (const std::exception& error) {
    try {
      return Status::Error(std::string("not enough memory (") + error.what() + ")");
    } catch (...) {
      return Status::Error({});
    }
  }
}

Float32::Epilogue EpilogueOf(const Activation& act) {
  return {act.slope, act.low, act.high, act.slope != 1.0F, act.high < Activation().high};
}

// Runs the images of a batch one after another.
template <class RunImage>
void ForEachImage(const ConvSpec& spec, const ConvSizes& sizes, const float* x,
                  const float* residual, float* y, const RunImage& run) {
  const int64_t in_image = spec.in_channels * sizes.in_height * sizes.in_width;
  const int64_t out_image = spec.out_channels * sizes.out_height * sizes.out_width;
  for (int64_t n = 0; n < sizes.batch; ++n, x += in_image, y += out_image) {
    run(x, residual, y);
    if (residual != nullptr) residual += out_image;
  }
}

// What a layer comes to, whatever the size of its input; its plans share it.
template <class LayerPlan>
class ConvOf final : public Conv {
 public:
  using Layer = typename LayerPlan::Layer;
  explicit ConvOf(Layer&& layer) : layer_(std::make_shared<Layer>(std::move(layer))) {}

  Status Plan(int64_t n, int64_t h, int64_t w,
              std::shared_ptr<const ConvPlan>* plan) const override {
    return Guarded([&]() -> Status {
      ConvSizes sizes;
      const Status status = SizesOf(layer_->spec, n, h, w, &sizes);
      return status.ok() ? LayerPlan::Make(layer_, sizes, plan) : status;
    });
  }

 private:
  const std::shared_ptr<const Layer> layer_;
};

class TilesPlan final : public ConvPlan {
 public:
  using Layer = TiledLayer<Float32>;
  using LayerPointer = std::shared_ptr<const Layer>;

  TilesPlan(LayerPointer layer, TiledPlan<Float32>&& plan)
      : ConvPlan(plan.sizes, plan.scratch_bytes),
        layer_(std::move(layer)),
        plan_(std::move(plan)) {}

  static Status Make(const LayerPointer& layer, const ConvSizes& sizes,
                     std::shared_ptr<const ConvPlan>* plan) {
    TiledPlan<Float32> made;
    Status status = PlanTiles(*layer, sizes, &made);
    if (status.ok()) *plan = std::make_shared<TilesPlan>(layer, std::move(made));
    return status;
  }

  void Run(const float* x, const float* residual, float* y, void* scratch,
           const ParallelFor& parallel) const noexcept override {
    ForEachImage(layer_->spec, sizes, x, residual, y, [&](auto* image, auto* added, auto* made) {
      RunTiles(*layer_, plan_, image, added, made, scratch, parallel);
    });
  }
  const char* kernel_name() const noexcept override { return RowName(plan_.main_row); }
  std::string Describe() const override { return DescribeTiles(plan_, *layer_); }

 private:
  const LayerPointer layer_;
  const TiledPlan<Float32> plan_;
};

class DepthwisePlan final : public ConvPlan {
 public:
  using Layer = DepthwiseLayer;
  using LayerPointer = std::shared_ptr<const Layer>;

  DepthwisePlan(LayerPointer layer, const ConvSizes& of)
      : ConvPlan(of, 0), layer_(std::move(layer)), tasks_(DepthwiseTasks(layer_->spec, of)) {}

  static Status Make(const LayerPointer& layer, const ConvSizes& sizes,
                     std::shared_ptr<const ConvPlan>* plan) {
    *plan = std::make_shared<DepthwisePlan>(layer, sizes);
    return Status();
  }

  void Run(const float* x, const float* residual, float* y, void*,
           const ParallelFor& parallel) const noexcept override {
    ForEachImage(layer_->spec, sizes, x, residual, y, [&](auto* image, auto* added, auto* made) {
      RunDepthwise(*layer_, sizes, tasks_, image, added, made, parallel);
    });
  }
  const char* kernel_name() const noexcept override { return RowName(layer_->kernel.row); }
  std::string Describe() const override {
    return std::string(kernel_name()) + "; " + std::to_string(sizes.out_height) + " x " +
           std::to_string(sizes.out_width) + " outputs, " + std::to_string(tasks_.size()) +
           " tasks";
  }

 private:
  const LayerPointer layer_;
  const std::vector<Range> tasks_;
};

// Plain loops over the weights as given.
struct PlainLayer {
  ConvSpec spec;
  std::vector<float> values, bias;
  std::vector<int32_t> positions;
};

class PlainPlan final : public ConvPlan {
 public:
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

Status Conv::Create(const ConvSpec& spec, const SparseWeightsView& weights, Isa isa,
                    std::unique_ptr<Conv>* conv) {
  return Guarded([&]() -> Status {
    const auto& supported = SupportedIsas();
    if (std::find(supported.begin(), supported.end(), isa) == supported.end()) {
      return Status::Error(std::string("instruction set ") + IsaName(isa) +
                           " is not supported here");
    }
    Status status = CheckWeights(spec, weights);
    if (!status.ok()) return status;
    const std::vector<float> bias(weights.bias, weights.bias + weights.bias_count);
    if (isa == Isa::kReference) {
      *conv = std::make_unique<ConvOf<PlainPlan>>(
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
    if (const auto* depthwise = FindDepthwise(spec, isa)) {
      *conv = std::make_unique<ConvOf<DepthwisePlan>>(
          DepthwiseLayer{spec, *depthwise, gate, epilogue, DepthwiseValues(spec, weights), bias});
    } else {
      const StoredWeights<Float32> stored = {weights.values, weights.positions, weights.nnz,
                                             weights.bias};
      *conv = std::make_unique<ConvOf<TilesPlan>>(TiledLayer<Float32>{
          spec, isa, epilogue, gate, PackRows(spec, stored, KernelsOf<Float32>(isa).tile)});
    }
    return Status();
  });
}

}  // namespace alcs
