#include "alcs/quantized_conv.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "alcs/channel_words.h"
#include "layer_conv.h"
#include "packing.h"
#include "reference.h"
#include "registry.h"

namespace alcs {
namespace {

constexpr int64_t kChannels = Uint8::kChannels;
static_assert(kChannels == kWordChannels);

// The spec with words in the place of input channels, and of the conv groups of a depthwise one.
ConvSpec InWords(const ConvSpec& spec) {
  ConvSpec words = spec;
  words.in_channels /= kChannels;
  if (IsDepthwise(spec)) words.group /= kChannels;
  return words;
}

Status CheckChannels(const ConvSpec& spec) {
  if (spec.activation.gate != Gate::kNone) return Status::Error("gates are for floats");
  const auto whole = [](const char* name, int64_t count) {
    return count % kChannels == 0 ? Status()
                                  : Status::Error(std::to_string(count) + " " + name +
                                                  " are no whole number of words of 4");
  };
  if (IsDepthwise(spec)) {
    if (spec.simd_group == kChannels) return whole("channels", spec.in_channels);
    return Status::Error("simd_group is " + std::to_string(spec.simd_group) +
                         ", and 4 in a depthwise convolution");
  }
  Status status = whole("input channels of a conv group", spec.in_channels / spec.group);
  if (status.ok()) {
    status = whole("output channels of a conv group", spec.out_channels / spec.group);
  }
  return status.ok() ? whole("rows of a block", spec.simd_group) : status;
}

// Bytes of a stored weight: one for each input channel that it reads.
int64_t BytesOf(const ConvSpec& spec) { return IsDepthwise(spec) ? 1 : kChannels; }

// The view as CheckWeights knows it: only counts are looked at.
SparseWeightsView Counts(const ConvSpec& spec, const QuantizedWeightsView& weights) {
  return {reinterpret_cast<const float*>(weights.values),
          weights.value_count / BytesOf(spec),
          weights.positions,
          weights.nnz,
          reinterpret_cast<const float*>(weights.bias),
          weights.bias_count};
}

// Sums over the weights of each output channel.
struct RowSums {
  std::vector<int64_t> sum, magnitude;
};

RowSums SumRows(const ConvSpec& spec, const QuantizedWeightsView& weights) {
  const ConvSpec words = InWords(spec);
  const int64_t bytes = BytesOf(spec);
  WeightGeometry geometry;
  (void)CheckSpec(words, &geometry);
  const auto channels = static_cast<std::size_t>(words.out_channels);
  RowSums rows = {std::vector<int64_t>(channels), std::vector<int64_t>(channels)};
  const int8_t* value = weights.values;
  for (int64_t i = 0; i < weights.nnz; ++i) {
    const int64_t block = weights.positions[i] / geometry.columns;
    const int64_t first = block % geometry.blocks_per_group * words.simd_group;
    for (int64_t row = 0; row < words.simd_group; ++row, value += bytes) {
      if (first + row >= geometry.rows_per_group) continue;
      const auto channel = static_cast<std::size_t>(
          block / geometry.blocks_per_group * geometry.rows_per_group + first + row);
      for (int64_t c = 0; c < bytes; ++c) {
        rows.sum[channel] += value[c];
        rows.magnitude[channel] += std::abs(value[c]);
      }
    }
  }
  return rows;
}

Uint8::Epilogue EpilogueOf(const QuantizedSpec& spec) {
  const Activation& act = spec.conv.activation;
  const float least = -static_cast<float>(spec.y_zero), most = 255.0F + least;
  return {act.slope,
          std::clamp(act.low, least, most),
          std::clamp(act.high, least, most),
          act.slope != 1.0F,
          spec.residual_scale,
          spec.residual_zero,
          spec.y_zero};
}

// What sums begin with for kernels that take `offset` from inputs, and what they are multiplied by.
std::vector<Uint8::Bias> BiasesOf(const QuantizedSpec& spec, const QuantizedWeightsView& weights,
                                  int64_t offset) {
  const RowSums rows = SumRows(spec.conv, weights);
  std::vector<Uint8::Bias> biases;
  for (int64_t m = 0; m < spec.conv.out_channels; ++m) {
    // What is too large for 32 bits here wraps around, and back again where inputs are added.
    const int64_t begin =
        weights.bias[m] + (offset - spec.x_zero) * rows.sum[static_cast<std::size_t>(m)];
    biases.push_back({static_cast<int32_t>(static_cast<uint32_t>(begin)), weights.scales[m]});
  }
  return biases;
}

Uint8::Word OutsideOf(const QuantizedSpec& spec) { return spec.x_zero * Uint8::Word{0x01010101}; }

TiledLayer<Uint8> TiledLayerOf(const QuantizedSpec& spec, const QuantizedWeightsView& weights,
                               Isa isa) {
  const ConvSpec words = InWords(spec.conv);
  const auto& tiles = KernelsOf<Uint8>(isa).tile;
  const auto bias = BiasesOf(spec, weights, tiles.front().kernel->input_offset);
  std::vector<Uint8::Weight> values(static_cast<std::size_t>(weights.value_count / kChannels));
  if (!values.empty()) {
    std::memcpy(values.data(), weights.values, static_cast<std::size_t>(weights.value_count));
  }
  const StoredWeights<Uint8> stored = {values.data(), weights.positions, weights.nnz, bias.data()};
  return {words, isa, EpilogueOf(spec), OutsideOf(spec), {}, PackRows(words, stored, tiles)};
}

// [words][kernel rows][pairs of taps][channels], see kernels::WindowArgs.
std::vector<Uint8::Weight> PairTaps(const ConvSpec& words, const std::vector<int8_t>& dense) {
  const int64_t kernel = words.kernel[0], pairs = kernels::WindowPairs(static_cast<int>(kernel));
  const auto at = [&](int64_t channel, int64_t row, int64_t tap) -> uint32_t {
    if (tap == kernel) return 0;
    const int64_t index = (channel * kernel + row) * kernel + tap;
    return static_cast<uint16_t>(dense[static_cast<std::size_t>(index)]);
  };
  std::vector<Uint8::Weight> paired;
  for (int64_t word = 0; word < words.in_channels; ++word) {
    for (int64_t row = 0; row < kernel; ++row) {
      for (int64_t pair = 0; pair < pairs; ++pair) {
        for (int64_t c = 0; c < kChannels; ++c) {
          const int64_t channel = word * kChannels + c;
          paired.push_back(static_cast<int32_t>(at(channel, row, 2 * pair) |
                                                at(channel, row, 2 * pair + 1) << 16));
        }
      }
    }
  }
  return paired;
}

DepthwiseLayer<Uint8> DepthwiseLayerOf(const QuantizedSpec& spec,
                                       const QuantizedWeightsView& weights,
                                       Registered<WindowKernel<Uint8>> kernel) {
  const ConvSpec words = InWords(spec.conv);
  const auto dense = DepthwiseValues(words, weights.values, weights.positions, weights.nnz);
  return {words,
          kernel,
          {},
          EpilogueOf(spec),
          OutsideOf(spec),
          PairTaps(words, dense),
          BiasesOf(spec, weights, 0)};
}

// Plain loops over the weights as given.
struct PlainQuantizedLayer {
  ConvSpec spec;  // in words
  QuantizedSpec of;
  std::vector<int8_t> values;
  std::vector<int32_t> positions, bias;
  std::vector<float> scales;
};

class PlainQuantizedPlan final : public QuantizedConvPlan {
 public:
  using Base = QuantizedConvPlan;
  using Layer = PlainQuantizedLayer;
  using LayerPointer = std::shared_ptr<const Layer>;

  PlainQuantizedPlan(LayerPointer layer, const ConvSizes& of)
      : Base(of, 0), layer_(std::move(layer)) {}

  static Status Make(const LayerPointer& layer, const ConvSizes& sizes,
                     std::shared_ptr<const Base>* plan) {
    *plan = std::make_shared<PlainQuantizedPlan>(layer, sizes);
    return Status();
  }

  void Run(const uint8_t* x, const uint8_t* residual, uint8_t* y, void*,
           const ParallelFor&) const noexcept override {
    CountRun(ReferenceRow());
    const Layer& layer = *layer_;
    const QuantizedWeightsView view = {
        layer.values.data(),    static_cast<int64_t>(layer.values.size()),
        layer.positions.data(), static_cast<int64_t>(layer.positions.size()),
        layer.bias.data(),      layer.spec.out_channels,
        layer.scales.data(),    layer.spec.out_channels};
    ReferenceQuantizedConv(layer.of, view, sizes, x, residual, y);
  }
  const char* kernel_name() const noexcept override { return RowName(ReferenceRow()); }
  std::string Describe() const override { return kernel_name(); }

 private:
  const LayerPointer layer_;
};

}  // namespace

Status CheckQuantized(const QuantizedSpec& spec, const QuantizedWeightsView& weights) {
  WeightGeometry geometry;
  Status status = CheckSpec(spec.conv, &geometry);
  if (status.ok()) status = CheckChannels(spec.conv);
  if (!status.ok()) return status;
  const ConvSpec words = InWords(spec.conv);
  if (weights.value_count % BytesOf(spec.conv) != 0) {
    return Status::Error(std::to_string(weights.value_count) +
                         " values are no whole number of words of 4");
  }
  status = CheckWeights(words, Counts(spec.conv, weights));
  if (!status.ok()) return status;
  if (weights.scales == nullptr || weights.scale_count != spec.conv.out_channels) {
    return Status::Error(std::to_string(weights.scale_count) + " scales for " +
                         std::to_string(spec.conv.out_channels) + " output channels");
  }
  const auto wrong = [](float scale) { return !std::isfinite(scale) || scale < 0; };
  const float* const end = weights.scales + weights.scale_count;
  const float* const found = std::find_if(weights.scales, end, wrong);
  if (found != end || wrong(spec.residual_scale)) {
    return Status::Error("scale " + std::to_string(found != end ? *found : spec.residual_scale) +
                         " is not finite, or negative");
  }
  const RowSums rows = SumRows(spec.conv, weights);
  for (int64_t m = 0; m < spec.conv.out_channels; ++m) {
    const int64_t most = rows.magnitude[static_cast<std::size_t>(m)] * 255 +
                         std::abs(static_cast<int64_t>(weights.bias[m]));
    if (most > std::numeric_limits<int32_t>::max()) {
      return Status::Error("sums of output channel " + std::to_string(m) +
                           " may be too large for 32 bits");
    }
  }
  return Status();
}

Status QuantizedConv::Create(const QuantizedSpec& spec, const QuantizedWeightsView& weights,
                             Isa isa, std::unique_ptr<QuantizedConv>* conv) {
  return Guarded([&]() -> Status {
    Status status = CheckIsa(isa);
    if (status.ok()) status = CheckQuantized(spec, weights);
    if (!status.ok()) return status;
    const bool depthwise = IsDepthwise(spec.conv);
    const auto* kernel = depthwise ? FindDepthwise<Uint8>(InWords(spec.conv), isa) : nullptr;
    // Plain loops do what there is no kernel for.
    if (isa == Isa::kReference || (depthwise && kernel == nullptr)) {
      *conv = std::make_unique<LayerConv<QuantizedConv, PlainQuantizedPlan>>(
          PlainQuantizedLayer{InWords(spec.conv),
                              spec,
                              {weights.values, weights.values + weights.value_count},
                              {weights.positions, weights.positions + weights.nnz},
                              {weights.bias, weights.bias + weights.bias_count},
                              {weights.scales, weights.scales + weights.scale_count}});
      return Status();
    }
    if (!depthwise) {
      *conv = std::make_unique<LayerConv<QuantizedConv, TilesPlan<Uint8>>>(
          TiledLayerOf(spec, weights, isa));
      return Status();
    }
    *conv = std::make_unique<LayerConv<QuantizedConv, DepthwisePlan<Uint8>>>(
        DepthwiseLayerOf(spec, weights, *kernel));
    return Status();
  });
}

}  // namespace alcs
