#include "subject.h"

#include <algorithm>
#include <cstdint>
#include <random>
#include <type_traits>
#include <utility>

#include "alcs/quantized_conv.h"

namespace alcs {
namespace bench {
namespace {

ConvSpec SpecOf(const Layer& layer, int64_t simd_group) {
  ConvSpec spec;
  spec.in_channels = layer.in;
  spec.out_channels = layer.out;
  spec.group = layer.group;
  const int64_t rows = layer.out / layer.group;
  spec.simd_group = simd_group == 0 ? rows : std::min(simd_group, rows);
  // Patches do not overlap, and their kernels are not padded.
  const int64_t pad = layer.stride == layer.kernel ? 0 : layer.kernel / 2;
  spec.kernel[0] = layer.flat ? 1 : layer.kernel;
  spec.kernel[1] = layer.kernel;
  spec.strides[0] = layer.flat ? 1 : layer.stride;
  spec.strides[1] = layer.stride;
  spec.pads[0] = spec.pads[2] = layer.flat ? 0 : pad;
  spec.pads[1] = spec.pads[3] = pad;
  spec.activation.gate = layer.gate;
  if (layer.gate == Gate::kNone) spec.activation.low = 0;
  return spec;
}

using Random = std::mt19937;

float Uniform(Random& random) { return static_cast<float>(random()) * 0x1p-32F; }

// Each of `count` positions with probability `density`.
std::vector<int32_t> RandomPositions(int64_t count, double density, Random& random) {
  std::vector<int32_t> positions;
  for (int64_t p = 0; p < count; ++p) {
    if (static_cast<double>(random()) * 0x1p-32 >= density) continue;
    positions.push_back(static_cast<int32_t>(p));
  }
  return positions;
}

// Positions of a layer with so many planes of input.
int64_t PositionCount(const ConvSpec& spec, int64_t planes) {
  const int64_t rows = spec.out_channels / spec.group;
  const int64_t blocks = spec.group * ((rows + spec.simd_group - 1) / spec.simd_group);
  return blocks * (planes / spec.group) * spec.kernel[0] * spec.kernel[1];
}

template <class T, class Made>
Status PlanFor(const Layer& layer, const Made& conv, std::shared_ptr<const PlanOf<T>>* plan) {
  return conv->Plan(layer.batch, layer.flat ? 1 : layer.size, layer.size, plan);
}

Status PlanFloats(const Layer& layer, const ConvSpec& spec, double density, Isa isa,
                  std::shared_ptr<const ConvPlan>* plan, double* weights) {
  Random random(1);
  const auto positions = RandomPositions(PositionCount(spec, spec.in_channels), density, random);
  std::vector<float> values(positions.size() * static_cast<std::size_t>(spec.simd_group));
  std::generate(values.begin(), values.end(), [&] { return Uniform(random) - 0.5F; });
  const std::vector<float> bias(static_cast<std::size_t>(layer.out), 0.1F);
  *weights = static_cast<double>(values.size());
  std::unique_ptr<Conv> conv;
  Status status =
      Conv::Create(spec,
                   {values.data(), static_cast<int64_t>(values.size()), positions.data(),
                    static_cast<int64_t>(positions.size()), bias.data(), layer.out},
                   isa, &conv);
  return status.ok() ? PlanFor(layer, conv, plan) : status;
}

Status PlanBytes(const Layer& layer, ConvSpec spec, double density, Isa isa,
                 std::shared_ptr<const QuantizedConvPlan>* plan, double* weights) {
  // A depthwise layer has a block for each word, and a byte for each of its rows.
  constexpr int64_t kWord = 4;
  ConvSpec words = spec;
  words.in_channels /= kWord;
  if (layer.depthwise()) {
    words.group /= kWord;
    words.simd_group = spec.simd_group = kWord;
  }
  const int64_t bytes = layer.depthwise() ? 1 : kWord;
  Random random(1);
  const auto positions = RandomPositions(PositionCount(words, words.in_channels), density, random);
  std::vector<int8_t> values(positions.size() * static_cast<std::size_t>(spec.simd_group * bytes));
  std::generate(values.begin(), values.end(), [&] { return static_cast<int8_t>(random()); });
  const std::vector<int32_t> bias(static_cast<std::size_t>(layer.out));
  const std::vector<float> scales(static_cast<std::size_t>(layer.out), 0.001F);
  *weights = static_cast<double>(values.size());
  QuantizedSpec quantized;
  quantized.conv = spec;
  std::unique_ptr<QuantizedConv> conv;
  Status status = QuantizedConv::Create(
      quantized,
      {values.data(), static_cast<int64_t>(values.size()), positions.data(),
       static_cast<int64_t>(positions.size()), bias.data(), layer.out, scales.data(), layer.out},
      isa, &conv);
  return status.ok() ? PlanFor(layer, conv, plan) : status;
}

}  // namespace

void Buffer::Resize(std::size_t bytes) {
  constexpr std::size_t kAlignment = 64;
  memory_.resize(bytes + kAlignment);
  const auto address = reinterpret_cast<std::uintptr_t>(memory_.data());
  data_ = memory_.data() + (kAlignment - address % kAlignment) % kAlignment;
  bytes_ = bytes;
}

template <class T>
void Subject::Ready(std::shared_ptr<const PlanOf<T>> plan, const Layer& layer) {
  const ConvSizes& sizes = plan->sizes;
  const auto count =
      static_cast<std::size_t>(layer.batch * layer.in * sizes.in_height * sizes.in_width);
  x_.Resize(count * sizeof(T));
  Random random(2);
  // Floats in [0, 1), or any bytes.
  const auto value = [&] {
    return std::is_same_v<T, float> ? static_cast<T>(Uniform(random)) : static_cast<T>(random());
  };
  std::generate_n(x_.as<T>(), count, value);
  const int64_t pixels = layer.batch * sizes.out_height * sizes.out_width;
  y_.Resize(static_cast<std::size_t>(layer.out * pixels) * sizeof(T));
  scratch_.resize(plan->scratch_bytes);
  macs_ *= static_cast<double>(pixels);
  kernel_name_ = plan->kernel_name();
  run_ = [this, plan] { plan->Run(x_.as<T>(), nullptr, y_.as<T>(), scratch_.data(), SerialFor()); };
}

Status Subject::Make(const Layer& layer, Element element, int64_t simd_group, double density,
                     Isa isa, std::unique_ptr<Subject>* subject) {
  const ConvSpec spec = SpecOf(layer, simd_group);
  auto made = std::make_unique<Subject>();
  Status status;
  if (element == Element::kFloat32) {
    std::shared_ptr<const ConvPlan> plan;
    status = PlanFloats(layer, spec, density, isa, &plan, &made->macs_);
    if (status.ok()) made->Ready(std::move(plan), layer);
  } else {
    std::shared_ptr<const QuantizedConvPlan> plan;
    status = PlanBytes(layer, spec, density, isa, &plan, &made->macs_);
    if (status.ok()) made->Ready(std::move(plan), layer);
  }
  if (status.ok()) *subject = std::move(made);
  return status;
}

void Subject::TouchInput() {
  volatile bool sink = false;
  for (std::size_t i = 0; i < x_.bytes(); i += 64) sink = x_.as<char>()[i] > 0;
  (void)sink;
}

std::string Subject::KernelRows() {
  const std::vector<KernelUse> before = KernelUses();
  Run();
  const std::vector<KernelUse> after = KernelUses();
  std::string names = kernel_name_;
  for (std::size_t row = 0; row < after.size(); ++row) {
    if (after[row].runs == before[row].runs || after[row].name == kernel_name_) continue;
    names += std::string(" ") + after[row].name;
  }
  return names;
}

}  // namespace bench
}  // namespace alcs
