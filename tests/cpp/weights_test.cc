// Attributes and weights that nobody has vouched for.
#include <algorithm>
#include <cstdlib>
#include <limits>
#include <string>

#include "conv_case.h"
#include "harness.h"

namespace alcs {
namespace test {
namespace {

ConvSpec GoodSpec() {
  ConvSpec spec;
  spec.out_channels = 6;
  spec.in_channels = 4;
  spec.group = 2;
  spec.simd_group = 2;  // 2 blocks of 2 and 1 rows in each conv group, K = 2 * 9
  spec.kernel[0] = spec.kernel[1] = 3;
  return spec;
}

void ExpectRefused(const ConvSpec& spec, const SparseWeightsView& weights, const char* text) {
  for (const Isa isa : {Isa::kReference, IsaUnderTest()}) {
    std::unique_ptr<Conv> conv;
    const Status status = Conv::Create(spec, weights, isa, &conv);
    EXPECT(!status.ok(), "accepted, expected: " << text);
    EXPECT(status.message().find(text) != std::string::npos,
           "'" << status.message() << "' lacks '" << text << "'");
    EXPECT(conv == nullptr, "made a Conv although: " << text);
  }
}

TEST(GoodWeightsAreAccepted) {
  Random random(Seed());
  std::unique_ptr<Conv> conv;
  const Status status = Conv::Create(GoodSpec(), RandomWeights(GoodSpec(), 0.5, random).view(),
                                     IsaUnderTest(), &conv);
  EXPECT(status.ok(), status.message());
}

TEST(BadAttributesAreRefused) {
  Random random(Seed());
  const Weights weights = RandomWeights(GoodSpec(), 0.5, random);
  constexpr int64_t kBig = std::numeric_limits<int64_t>::max();
  const float infinity = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const auto refused = [&](auto change, const char* text) {
    ConvSpec spec = GoodSpec();
    change(spec);
    ExpectRefused(spec, weights.view(), text);
  };
  for (const int64_t bad : {int64_t{0}, int64_t{-1}, -kBig, kBig}) {
    refused([&](ConvSpec& s) { s.out_channels = bad; }, "out_channels");
    refused([&](ConvSpec& s) { s.in_channels = bad; }, "in_channels");
    refused([&](ConvSpec& s) { s.group = bad; }, "group");
    refused([&](ConvSpec& s) { s.simd_group = bad; }, "simd_group");
    refused([&](ConvSpec& s) { s.kernel[0] = bad; }, "kernel_shape");
    refused([&](ConvSpec& s) { s.kernel[1] = bad; }, "kernel_shape");
    refused([&](ConvSpec& s) { s.strides[0] = bad; }, "strides");
    refused([&](ConvSpec& s) { s.strides[1] = bad; }, "strides");
    refused([&](ConvSpec& s) { s.dilations[0] = bad; }, "dilations");
    refused([&](ConvSpec& s) { s.dilations[1] = bad; }, "dilations");
    for (int i = 0; i < 4; ++i) {
      if (bad != 0) refused([&](ConvSpec& s) { s.pads[i] = bad; }, "pads");
    }
  }
  refused([](ConvSpec& s) { s.group = 3; }, "does not divide");
  refused([](ConvSpec& s) { s.simd_group = 17; }, "simd_group");
  refused([&](ConvSpec& s) { s.activation.slope = nan; }, "finite");
  refused([&](ConvSpec& s) { s.activation.low = -infinity; }, "finite");
  refused([&](ConvSpec& s) { s.activation.high = infinity; }, "finite");
  refused([](ConvSpec& s) { s.activation = {1, 2, 1}; }, "greater");
  for (const int bad : {-1, kGates}) {
    refused([&](ConvSpec& s) { s.activation.gate = static_cast<Gate>(bad); }, "gate");
  }
  for (int number = 1; number < kGates; ++number) {
    const Gate gate = static_cast<Gate>(number);
    const Activation none;
    refused([&](ConvSpec& s) { s.activation = {0.5F, none.low, none.high, gate}; }, "gate");
    refused([&](ConvSpec& s) { s.activation = {1, 0, none.high, gate}; }, "gate");
    refused([&](ConvSpec& s) { s.activation = {1, none.low, 6, gate}; }, "gate");
  }
  // Products that leave 32 bits, and 64.
  refused([](ConvSpec& s) { s.kernel[0] = s.kernel[1] = 40000; }, "32 bits");
  refused([](ConvSpec& s) { s.kernel[0] = s.kernel[1] = 0x7fffffff; }, "32 bits");
  refused([](ConvSpec& s) { s.in_channels = 0x7ffffffe; }, "32 bits");
  refused([](ConvSpec& s) { s.out_channels = 0x7ffffffe; }, "32 bits");
}

TEST(BadWeightsAreRefused) {
  Random random(Seed());
  const ConvSpec spec = GoodSpec();
  const Weights good = RandomWeights(spec, 0.5, random);
  const auto refused = [&](auto change, const char* text) {
    Weights weights = good;
    SparseWeightsView view = weights.view();
    change(weights, view);
    ExpectRefused(spec, view, text);
  };
  const std::size_t last = good.positions.size() - 1;
  refused([&](Weights& w, auto&) { w.positions[1] = w.positions[0]; }, "not greater");
  refused([&](Weights& w, auto&) { std::swap(w.positions[3], w.positions[4]); }, "not greater");
  refused([&](Weights& w, auto&) { w.positions[0] = -1; }, "not greater");
  refused([&](Weights& w, auto&) { w.positions[last] = 4 * 18; }, "expected less than 72");
  refused([&](Weights& w, auto&) { w.positions[last] = 0x7fffffff; }, "expected less than 72");
  refused([](Weights&, auto& v) { v.value_count -= 1; }, "values for");
  refused([](Weights&, auto& v) { v.value_count += 2; }, "values for");
  refused([](Weights&, auto& v) { v.value_count = -v.value_count; }, "values for");
  refused([](Weights&, auto& v) { v.nnz = -1; }, "number of positions");
  refused([](Weights&, auto& v) { v.nnz = 73; }, "number of positions");
  refused([](Weights&, auto& v) { v.bias_count = 5; }, "biases for");
  refused([](Weights&, auto& v) { v.bias = nullptr; }, "missing");
  refused([](Weights&, auto& v) { v.values = nullptr; }, "missing");
  refused([](Weights&, auto& v) { v.positions = nullptr; }, "missing");
}

TEST(BadInputSizesAreRefused) {
  Random random(Seed());
  const ConvSpec spec = GoodSpec();
  std::unique_ptr<Conv> conv;
  Status status =
      Conv::Create(spec, RandomWeights(spec, 0.5, random).view(), IsaUnderTest(), &conv);
  EXPECT(status.ok(), status.message());
  constexpr int64_t kBig = std::numeric_limits<int64_t>::max();
  const int64_t sizes[][3] = {{1, 2, 9},  {1, 9, 2},    {1, 0, 9},    {-1, 9, 9},
                              {1, -9, 9}, {1, kBig, 9}, {kBig, 9, 9}, {1, 70000, 70000}};
  for (const auto& size : sizes) {
    std::shared_ptr<const ConvPlan> plan;
    status = conv->Plan(size[0], size[1], size[2], &plan);
    EXPECT(!status.ok(), "accepted " << size[0] << " x " << size[1] << " x " << size[2]);
    EXPECT(plan == nullptr && !status.message().empty(), "an error makes no plan");
  }
}

TEST(IsaNames) {
  Isa isa = Isa::kReference;
  for (const Isa supported : SupportedIsas()) {
    EXPECT(ParseIsa(IsaName(supported), &isa).ok() && isa == supported, IsaName(supported));
  }
  for (const char* bad : {"", "AVX2", "avx", "avx512 ", "sse9"}) {
    EXPECT(!ParseIsa(bad, &isa).ok(), "accepted '" << bad << "'");
  }
}

// Forces instruction sets as a user would. Restores the variable.
TEST(ForcedIsa) {
  const char* before = std::getenv("ALCS_FORCE_ISA");
  const std::string kept = before != nullptr ? before : "";
  Isa isa = Isa::kReference;
  setenv("ALCS_FORCE_ISA", "z80", 1);
  const Status status = SelectIsa(&isa);
  EXPECT(!status.ok(), "accepted an unknown name");
  EXPECT(status.message().find("ALCS_FORCE_ISA") != std::string::npos &&
             status.message().find("z80") != std::string::npos &&
             status.message().find("scalar") != std::string::npos,
         status.message());
  setenv("ALCS_FORCE_ISA", "scalar", 1);
  EXPECT(SelectIsa(&isa).ok() && isa == Isa::kScalar, "scalar is always there");
  setenv("ALCS_FORCE_ISA", "", 1);
  EXPECT(SelectIsa(&isa).ok() && isa == DetectIsa(), "empty means unset");
  setenv("ALCS_FORCE_ISA", kept.c_str(), 1);
}

TEST(UnsupportedIsaIsRefused) {
  Random random(Seed());
#define ALCS_ISA(name, id, ...) Isa::id,
  for (const Isa isa : {
#include "alcs/isas.inc"
       }) {
    const auto& supported = SupportedIsas();
    if (std::find(supported.begin(), supported.end(), isa) != supported.end()) continue;
    std::unique_ptr<Conv> conv;
    const Weights weights = RandomWeights(GoodSpec(), 0.5, random);
    EXPECT(!Conv::Create(GoodSpec(), weights.view(), isa, &conv).ok(), IsaName(isa));
  }
}

}  // namespace
}  // namespace test
}  // namespace alcs
