#include "subject.h"

#include <algorithm>
#include <cstdint>
#include <random>

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

}  // namespace

void Buffer::Resize(std::size_t size) {
  constexpr std::size_t kAlignment = 64;
  memory_.resize(size + kAlignment / sizeof(float));
  const auto address = reinterpret_cast<std::uintptr_t>(memory_.data());
  data_ = memory_.data() + (kAlignment - address % kAlignment) % kAlignment / sizeof(float);
  size_ = size;
}

Status Subject::Make(const Layer& layer, int64_t simd_group, double density, Isa isa,
                     std::unique_ptr<Subject>* subject) {
  const ConvSpec spec = SpecOf(layer, simd_group);
  const int64_t rows = layer.out / layer.group;
  const int64_t blocks = layer.group * ((rows + spec.simd_group - 1) / spec.simd_group);
  const int64_t count = blocks * (layer.in / layer.group) * spec.kernel[0] * spec.kernel[1];

  std::mt19937 random(1);
  const auto uniform = [&random] { return static_cast<float>(random()) * 0x1p-32F; };
  std::vector<float> values;
  const std::vector<float> bias(static_cast<std::size_t>(layer.out), 0.1F);
  std::vector<int32_t> positions;
  for (int64_t p = 0; p < count; ++p) {
    if (static_cast<double>(random()) * 0x1p-32 >= density) continue;
    positions.push_back(static_cast<int32_t>(p));
    for (int64_t i = 0; i < spec.simd_group; ++i) values.push_back(uniform() - 0.5F);
  }

  auto made = std::make_unique<Subject>();
  std::unique_ptr<Conv> conv;
  Status status =
      Conv::Create(spec,
                   {values.data(), static_cast<int64_t>(values.size()), positions.data(),
                    static_cast<int64_t>(positions.size()), bias.data(), layer.out},
                   isa, &conv);
  if (status.ok()) {
    status = conv->Plan(layer.batch, layer.flat ? 1 : layer.size, layer.size, &made->plan_);
  }
  if (!status.ok()) return status;
  const ConvSizes& sizes = made->plan_->sizes;
  const int64_t pixels = layer.batch * sizes.out_height * sizes.out_width;
  made->x_.Resize(
      static_cast<std::size_t>(layer.batch * layer.in * sizes.in_height * sizes.in_width));
  std::generate_n(made->x_.data(), made->x_.size(), uniform);
  made->y_.Resize(static_cast<std::size_t>(layer.out * pixels));
  made->scratch_.resize(made->plan_->scratch_bytes);
  made->macs_ = static_cast<double>(values.size()) * static_cast<double>(pixels);
  *subject = std::move(made);
  return Status();
}

void Subject::TouchInput() {
  volatile bool sink = false;
  for (std::size_t i = 0; i < x_.size(); i += 64 / sizeof(float)) sink = x_.data()[i] > 0;
  (void)sink;
}

std::string Subject::KernelRows() {
  const std::vector<KernelUse> before = KernelUses();
  Run();
  const std::vector<KernelUse> after = KernelUses();
  const std::string main_row = plan_->kernel_name();
  std::string names = main_row;
  for (std::size_t row = 0; row < after.size(); ++row) {
    if (after[row].runs == before[row].runs || after[row].name == main_row) continue;
    names += std::string(" ") + after[row].name;
  }
  return names;
}

}  // namespace bench
}  // namespace alcs
