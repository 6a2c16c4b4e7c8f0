#include "conv_case.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <sstream>

#include "harness.h"

namespace alcs {
namespace test {
namespace {

constexpr unsigned char kCanary = 0xc5;

template <class T, std::size_t kCount>
T Pick(Random& random, const T (&choices)[kCount]) {
  return choices[random() % kCount];
}

// The largest number of products in one output, and the bound on the rounding error of a sum whose
// terms have the magnitudes that `magnitudes` computes (Higham, Accuracy and Stability, eq. 3.5).
std::vector<float> ErrorBounds(const ConvCase& c, const Weights& weights, const float* x,
                               const float* residual, std::size_t outputs) {
  const auto absolute = [](std::vector<float> v) {
    for (float& f : v) f = std::fabs(f);
    return v;
  };
  ConvSpec spec = c.spec;
  spec.activation = Activation();
  Weights magnitudes = {absolute(weights.values), weights.positions, absolute(weights.bias)};
  std::unique_ptr<Conv> conv;
  std::shared_ptr<const ConvPlan> plan;
  if (!Conv::Create(spec, magnitudes.view(), Isa::kReference, &conv).ok() ||
      !conv->Plan(c.batch, c.height, c.width, &plan).ok()) {
    return {};
  }
  const std::size_t inputs =
      static_cast<std::size_t>(c.batch * spec.in_channels * c.height * c.width);
  const std::vector<float> abs_x = absolute(std::vector<float>(x, x + inputs));
  std::vector<float> abs_r;
  if (residual != nullptr) abs_r = absolute(std::vector<float>(residual, residual + outputs));
  std::vector<float> bounds(outputs);
  plan->Run(abs_x.data(), residual != nullptr ? abs_r.data() : nullptr, bounds.data(), nullptr,
            SerialFor());
  WeightGeometry geometry;
  (void)CheckSpec(spec, &geometry);
  const double terms = static_cast<double>(geometry.columns) + 4;
  const double gamma = terms * std::numeric_limits<float>::epsilon() / 2;
  // How much the activation can magnify an error, and the error that it adds itself, relative to
  // its operand.
  const bool gated = c.spec.activation.gate != Gate::kNone;
  const double slope = std::max<double>(BoundsOf(c.spec.activation.gate).steepest,
                                        std::fabs(c.spec.activation.slope));
  const double own = gated ? 4 * std::numeric_limits<float>::epsilon() : 0;
  for (float& bound : bounds) bound = static_cast<float>((gamma * slope + own) * bound * 1.01);
  return bounds;
}

}  // namespace

const GateBounds& BoundsOf(Gate gate) {
  static constexpr GateBounds kBounds[kGates] = {{1, [](double, double) { return 0.0; }},
#define ALCS_GATE_BOUNDS(arg, number, name, body, reference, steepest, error) \
  {steepest, []([[maybe_unused]] double v, double y) -> double { return error; }},
                                                 ALCS_GATES(ALCS_GATE_BOUNDS, )
#undef ALCS_GATE_BOUNDS
  };
  return kBounds[static_cast<int>(gate)];
}

int64_t Uniform(Random& random, int64_t low, int64_t high) {
  return low + static_cast<int64_t>(random() % static_cast<uint64_t>(high - low + 1));
}

float UniformFloat(Random& random) {
  return static_cast<float>(static_cast<int64_t>(random() >> 40) - (1 << 23)) /
         static_cast<float>(1 << 23);
}

SparseWeightsView Weights::view() const {
  return {values.data(),    static_cast<int64_t>(values.size()),
          positions.data(), static_cast<int64_t>(positions.size()),
          bias.data(),      static_cast<int64_t>(bias.size())};
}

Weights RandomWeights(const ConvSpec& spec, double density, Random& random, bool whole_blocks) {
  WeightGeometry geometry;
  const Status status = CheckSpec(spec, &geometry);
  EXPECT(status.ok(), status.message());
  Weights weights;
  bool stored = true;
  for (int64_t p = 0; p < geometry.blocks * geometry.columns; ++p) {
    const bool again = !whole_blocks || p % geometry.columns == 0;
    if (again) stored = density >= 1 || static_cast<double>(random() >> 11) * 0x1p-53 < density;
    if (!stored) continue;
    weights.positions.push_back(static_cast<int32_t>(p));
    for (int64_t i = 0; i < spec.simd_group; ++i) weights.values.push_back(UniformFloat(random));
  }
  for (int64_t m = 0; m < spec.out_channels; ++m) weights.bias.push_back(UniformFloat(random));
  return weights;
}

Activation RandomActivation(Random& random) {
  const Activation none;
  std::vector<Activation> choices = {none,
                                     {1.0F, 0.0F, none.high},
                                     {1.0F, 0.0F, 0.5F},
                                     {0.1F, none.low, none.high},
                                     {0.25F, -0.125F, 0.75F}};
  for (int gate = 1; gate < kGates; ++gate) {
    choices.push_back({1.0F, none.low, none.high, static_cast<Gate>(gate)});
  }
  return choices[random() % choices.size()];
}

ConvCase RandomCase(Random& random) {
  const int64_t kernels[] = {1, 1, 2, 3, 3, 3, 4, 5, 7};
  const int64_t strides[] = {1, 1, 1, 2, 2, 3, 5};
  const int64_t groups[] = {1, 1, 1, 1, 2, 3};
  const int64_t simd_groups[] = {1, 2, 3, 4, 4, 5, 8, 8, 11, 16, 0};  // 0: all rows
  const double densities[] = {0, 0.03, 0.3, 0.5, 0.5, 1};
  const bool one_dimensional = random() % 8 == 0;

  ConvCase c;
  ConvSpec& spec = c.spec;
  spec.group = Pick(random, groups);
  spec.in_channels = spec.group * Uniform(random, 1, 6);
  spec.out_channels = spec.group * Uniform(random, 1, 19);
  spec.simd_group = Pick(random, simd_groups);
  if (spec.simd_group == 0) spec.simd_group = spec.out_channels;
  spec.kernel[0] = spec.kernel[1] = Pick(random, kernels);
  spec.strides[0] = spec.strides[1] = Pick(random, strides);
  if (random() % 4 == 0) spec.kernel[0] = Pick(random, kernels);
  if (random() % 4 == 0) spec.strides[0] = Pick(random, strides);
  for (int axis = 0; axis < 2; ++axis) {
    if (random() % 4 == 0) spec.dilations[axis] = Uniform(random, 1, 3);
    const int64_t same = spec.dilations[axis] * (spec.kernel[axis] - 1) / 2;
    spec.pads[axis] = spec.pads[axis + 2] = random() % 2 == 0 ? same : 0;
  }
  if (random() % 4 == 0) {
    for (int64_t& pad : spec.pads) pad = Uniform(random, 0, 4);
  }
  if (one_dimensional) {
    spec.kernel[0] = spec.strides[0] = spec.dilations[0] = 1;
    spec.pads[0] = spec.pads[2] = 0;
  }
  spec.activation = RandomActivation(random);
  c.residual = random() % 2 == 0;
  c.batch = random() % 6 == 0 ? 2 : 1;
  c.density = Pick(random, densities);
  const int64_t need_h = spec.dilations[0] * (spec.kernel[0] - 1) + 1 - spec.pads[0] - spec.pads[2];
  const int64_t need_w = spec.dilations[1] * (spec.kernel[1] - 1) + 1 - spec.pads[1] - spec.pads[3];
  const int64_t most = random() % 3 == 0 ? 60 : 20;
  c.height = one_dimensional ? 1 : std::max(need_h, Uniform(random, 1, most / 2));
  c.width = std::max(need_w, Uniform(random, 1, one_dimensional ? 150 : most));
  return c;
}

std::string ConvCase::Describe() const {
  std::ostringstream text;
  text << batch << "x" << spec.in_channels << "x" << height << "x" << width << " -> "
       << spec.out_channels << " kernel " << spec.kernel[0] << "x" << spec.kernel[1] << " strides "
       << spec.strides[0] << "," << spec.strides[1] << " pads " << spec.pads[0] << ","
       << spec.pads[1] << "," << spec.pads[2] << "," << spec.pads[3] << " dilations "
       << spec.dilations[0] << "," << spec.dilations[1] << " group " << spec.group << " simd_group "
       << spec.simd_group << " density " << density << (whole_blocks ? " of blocks" : "") << " act "
       << spec.activation.slope << "," << spec.activation.low << "," << spec.activation.high
       << " gate " << static_cast<int>(spec.activation.gate) << (residual ? " residual" : "");
  return text.str();
}

GuardedMemory::GuardedMemory(std::size_t bytes, bool at_end)
    : page_(static_cast<std::size_t>(sysconf(_SC_PAGESIZE))), bytes_(bytes) {
  const std::size_t inner = std::max<std::size_t>(1, (bytes + page_ - 1) / page_) * page_;
  map_bytes_ = inner + 2 * page_;
  map_ = static_cast<unsigned char*>(
      mmap(nullptr, map_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  std::memset(map_, kCanary, map_bytes_);
  mprotect(map_, page_, PROT_NONE);
  mprotect(map_ + page_ + inner, page_, PROT_NONE);
  data_ = map_ + page_ + (at_end ? inner - bytes : 0);
}

GuardedMemory::~GuardedMemory() { munmap(map_, map_bytes_); }

bool GuardedMemory::intact() const {
  const auto same = [](unsigned char c) { return c == kCanary; };
  return std::all_of(map_ + page_, data_, same) &&
         std::all_of(data_ + bytes_, map_ + map_bytes_ - page_, same);
}

void CheckCase(const ConvCase& c, Isa isa, Random& random, const ParallelFor& parallel) {
  const Weights weights = RandomWeights(c.spec, c.density, random, c.whole_blocks);
  std::unique_ptr<Conv> reference, conv;
  std::shared_ptr<const ConvPlan> reference_plan, plan;
  Status status = Conv::Create(c.spec, weights.view(), Isa::kReference, &reference);
  if (status.ok()) status = reference->Plan(c.batch, c.height, c.width, &reference_plan);
  if (status.ok()) status = Conv::Create(c.spec, weights.view(), isa, &conv);
  if (status.ok()) status = conv->Plan(c.batch, c.height, c.width, &plan);
  EXPECT(status.ok(), status.message() << " for " << c.Describe());
  if (!status.ok()) return;
  EXPECT(plan->sizes.out_height == reference_plan->sizes.out_height, c.Describe());
  EXPECT(plan->sizes.out_width == reference_plan->sizes.out_width, c.Describe());

  const auto inputs = static_cast<std::size_t>(c.batch * c.spec.in_channels * c.height * c.width);
  const auto outputs = static_cast<std::size_t>(c.batch * c.spec.out_channels *
                                                plan->sizes.out_height * plan->sizes.out_width);
  const bool at_end = (random() & 1) != 0;
  const GuardedMemory x(inputs * sizeof(float), at_end);
  const GuardedMemory residual(outputs * sizeof(float), at_end);
  const GuardedMemory y(outputs * sizeof(float), at_end);
  const GuardedMemory scratch(plan->scratch_bytes, at_end);
  for (std::size_t i = 0; i < inputs; ++i) x.floats()[i] = UniformFloat(random);
  for (std::size_t i = 0; i < outputs; ++i) residual.floats()[i] = UniformFloat(random);
  std::memset(scratch.data(), 0xff, plan->scratch_bytes);  // NaN: must not reach the output
  std::memset(y.data(), 0xff, outputs * sizeof(float));

  const float* r = c.residual ? residual.floats() : nullptr;
  std::vector<float> expected(outputs);
  reference_plan->Run(x.floats(), r, expected.data(), nullptr, SerialFor());
  const bool in_place = c.residual && (random() & 1) != 0;
  if (in_place) std::copy_n(r, outputs, y.floats());
  plan->Run(x.floats(), in_place ? y.floats() : r, y.floats(), scratch.data(), parallel);
  const std::vector<float> bounds = ErrorBounds(c, weights, x.floats(), r, outputs);
  EXPECT(bounds.size() == outputs, c.Describe());
  for (std::size_t i = 0; i < bounds.size(); ++i) {
    const float error = std::fabs(y.floats()[i] - expected[i]);
    if (!(error <= bounds[i])) {
      EXPECT(error <= bounds[i], "y[" << i << "] is " << y.floats()[i] << ", expected "
                                      << expected[i] << " within " << bounds[i] << ", by "
                                      << plan->kernel_name() << (in_place ? " in place" : "")
                                      << " for " << c.Describe());
      return;
    }
  }
  EXPECT(y.intact(), "wrote outside y for " << c.Describe());
  EXPECT(scratch.intact(), "wrote outside scratch for " << c.Describe());
}

}  // namespace test
}  // namespace alcs
