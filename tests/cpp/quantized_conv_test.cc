// The convolution of integers: every instruction set gives the reference's bytes.
#include "alcs/quantized_conv.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "conv_case.h"
#include "harness.h"
#include "threads_for.h"

namespace alcs {
namespace test {
namespace {

struct QuantizedWeights {
  std::vector<int8_t> values;
  std::vector<int32_t> positions, bias;
  std::vector<float> scales;
  QuantizedWeightsView view() const {
    return {values.data(),    static_cast<int64_t>(values.size()),
            positions.data(), static_cast<int64_t>(positions.size()),
            bias.data(),      static_cast<int64_t>(bias.size()),
            scales.data(),    static_cast<int64_t>(scales.size())};
  }
};

// What bytes are drawn from: all of them, or the ends alone.
enum class Bytes { kAny, kEnds };

uint8_t RandomByte(Random& random, Bytes bytes) {
  if (bytes == Bytes::kEnds) return (random() & 1) != 0 ? 255 : 0;
  return static_cast<uint8_t>(random());
}

struct QuantizedCase {
  ConvCase conv;  // its channels and rows of blocks are words
  QuantizedSpec spec;
  Bytes bytes = Bytes::kAny;

  std::string Describe() const {
    return conv.Describe() + " words, zeros " + std::to_string(spec.x_zero) + "," +
           std::to_string(spec.y_zero) + "," + std::to_string(spec.residual_zero);
  }
};

// A case of floats with every channel a word.
QuantizedCase OfWords(const ConvCase& conv, Random& random) {
  QuantizedCase c;
  c.conv = conv;
  ConvSpec& spec = c.spec.conv = conv.spec;
  spec.in_channels *= 4;
  spec.out_channels *= 4;
  spec.simd_group = std::min(4 * spec.simd_group, std::max<int64_t>(spec.out_channels, 16));
  spec.activation = Activation();
  if (random() % 2 == 0) spec.activation.low = static_cast<float>(Uniform(random, -40, 0));
  if (random() % 3 == 0) spec.activation.high = 100.5F;
  if (random() % 3 == 0) spec.activation.slope = 0.1F;
  const Bytes zeros = random() % 3 == 0 ? Bytes::kEnds : Bytes::kAny;
  c.spec.x_zero = RandomByte(random, zeros);
  c.spec.y_zero = RandomByte(random, zeros);
  c.spec.residual_zero = RandomByte(random, zeros);
  c.spec.residual_scale = static_cast<float>(Uniform(random, 0, 40)) / 16;
  if (random() % 4 == 0) c.bytes = Bytes::kEnds;
  return c;
}

// The spec as its weights are stored.
ConvSpec InWords(const ConvSpec& spec) {
  ConvSpec words = spec;
  words.in_channels /= 4;
  if (IsDepthwise(spec)) words.group /= 4;
  return words;
}

// A depthwise case of so many words.
QuantizedCase DepthwiseCase(int64_t words, int64_t kernel, int64_t stride, int64_t height,
                            int64_t width, Random& random) {
  ConvCase c;
  c.spec.in_channels = c.spec.out_channels = words;
  c.spec.kernel[0] = c.spec.kernel[1] = kernel;
  c.spec.strides[0] = c.spec.strides[1] = stride;
  for (int64_t& pad : c.spec.pads)
    pad = random() % 4 == 0 ? Uniform(random, 0, kernel) : kernel / 2;
  c.height = height;
  c.width = width;
  c.batch = random() % 6 == 0 ? 2 : 1;
  c.residual = random() % 2 == 0;
  c.density = random() % 3 == 0 ? 0.5 : 1;
  QuantizedCase made = OfWords(c, random);
  made.spec.conv.group = made.spec.conv.in_channels;
  made.spec.conv.simd_group = 4;
  return made;
}

QuantizedWeights RandomQuantized(const QuantizedCase& c, Random& random) {
  const Weights floats = RandomWeights(InWords(c.spec.conv), c.conv.density, random);
  QuantizedWeights weights;
  weights.positions = floats.positions;
  const std::size_t bytes = IsDepthwise(c.spec.conv) ? 1 : 4;
  for (std::size_t i = 0; i < bytes * floats.values.size(); ++i) {
    weights.values.push_back(static_cast<int8_t>(RandomByte(random, c.bytes) ^ 0x80));
  }
  for (int64_t m = 0; m < c.spec.conv.out_channels; ++m) {
    weights.bias.push_back(static_cast<int32_t>(Uniform(random, -100000, 100000)));
    // Some powers of two, so that sums lie between two steps; some that saturate.
    weights.scales.push_back(random() % 2 == 0 ? 1.0F / 512 : UniformFloat(random) * 0.01F + 0.01F);
  }
  return weights;
}

void CheckQuantizedCase(const QuantizedCase& c, Random& random, const ParallelFor& parallel) {
  const QuantizedWeights weights = RandomQuantized(c, random);
  const ConvSpec& spec = c.spec.conv;
  std::unique_ptr<QuantizedConv> reference, conv;
  std::shared_ptr<const QuantizedConvPlan> expected_plan, plan;
  const auto& input = c.conv;
  Status status = QuantizedConv::Create(c.spec, weights.view(), Isa::kReference, &reference);
  if (status.ok()) {
    status = reference->Plan(input.batch, input.height, input.width, &expected_plan);
  }
  if (status.ok()) status = QuantizedConv::Create(c.spec, weights.view(), IsaUnderTest(), &conv);
  if (status.ok()) status = conv->Plan(input.batch, input.height, input.width, &plan);
  EXPECT(status.ok(), status.message() << " for " << c.Describe());
  if (!status.ok()) return;

  const ConvSizes& sizes = plan->sizes;
  const auto inputs =
      static_cast<std::size_t>(input.batch * spec.in_channels * input.height * input.width);
  const auto outputs = static_cast<std::size_t>(input.batch * spec.out_channels * sizes.out_height *
                                                sizes.out_width);
  const bool at_end = (random() & 1) != 0;
  const GuardedMemory x(inputs, at_end), residual(outputs, at_end), y(outputs, at_end);
  const GuardedMemory scratch(plan->scratch_bytes, at_end);
  std::generate_n(x.bytes(), inputs, [&] { return RandomByte(random, c.bytes); });
  std::generate_n(residual.bytes(), outputs, [&] { return RandomByte(random, c.bytes); });
  std::memset(scratch.data(), 0x5a, plan->scratch_bytes);
  std::memset(y.data(), 0x5a, outputs);

  const uint8_t* r = input.residual ? residual.bytes() : nullptr;
  std::vector<uint8_t> expected(outputs);
  expected_plan->Run(x.bytes(), r, expected.data(), nullptr, SerialFor());
  const bool in_place = input.residual && (random() & 1) != 0;
  if (in_place) std::copy_n(r, outputs, y.bytes());
  plan->Run(x.bytes(), in_place ? y.bytes() : r, y.bytes(), scratch.data(), parallel);
  const auto wrong = std::mismatch(expected.begin(), expected.end(), y.bytes());
  EXPECT(wrong.first == expected.end(),
         "y[" << wrong.first - expected.begin() << "] is " << int{*wrong.second} << ", expected "
              << int{*wrong.first} << ", by " << plan->kernel_name()
              << (in_place ? " in place" : "") << " for " << c.Describe());
  EXPECT(y.intact(), "wrote outside y for " << c.Describe());
  EXPECT(scratch.intact(), "wrote outside scratch for " << c.Describe());
}

TEST(QuantizedSweep) {
  Random random(Seed() + 100);
  for (int i = 0; i < CaseCount(); ++i) {
    CheckQuantizedCase(OfWords(RandomCase(random), random), random, SerialFor());
  }
}

// Numbers of pixels around what the tiles cover, read in place and from padded planes.
TEST(QuantizedTileBoundaries) {
  Random random(Seed() + 101);
  const int64_t step = CaseCount() < 500 ? 7 : 1;
  for (int64_t pixels = 1 + Uniform(random, 0, step - 1); pixels <= 100; pixels += step) {
    ConvCase c;
    c.spec.in_channels = 3;
    c.spec.out_channels = 2;
    c.residual = pixels % 2 == 0;
    c.width = pixels;
    CheckQuantizedCase(OfWords(c, random), random, SerialFor());
    c.spec.kernel[0] = c.spec.kernel[1] = 3;
    std::fill_n(c.spec.pads, 4, 1);
    c.height = 3;
    CheckQuantizedCase(OfWords(c, random), random, SerialFor());
  }
}

// Bands, and inputs prepared by each thread.
TEST(QuantizedLargeImages) {
  Random random(Seed() + 102);
  for (const int64_t size : {14, 56, 120}) {
    ConvCase c;
    c.spec.in_channels = c.spec.out_channels = 8;
    c.spec.kernel[0] = c.spec.kernel[1] = 3;
    std::fill_n(c.spec.pads, 4, 1);
    c.height = c.width = size;
    c.density = 0.2;
    CheckQuantizedCase(OfWords(c, random), random, SerialFor());
  }
}

// Whole rows, edges and tails; kernels that reach over the image on every side.
TEST(QuantizedDepthwise) {
  Random random(Seed() + 104);
  const int64_t kernels[] = {3, 3, 5};
  for (int i = 0; i < CaseCount() / 4; ++i) {
    const int64_t kernel = IsaUnderTest() == Isa::kScalar ? 3 : kernels[random() % 3];
    const int64_t stride = Uniform(random, 1, 2);
    const int64_t most = random() % 4 == 0 ? 60 : 20;
    CheckQuantizedCase(
        DepthwiseCase(Uniform(random, 1, 4), kernel, stride, Uniform(random, kernel, most),
                      Uniform(random, kernel, most), random),
        random, SerialFor());
  }
  CheckQuantizedCase(DepthwiseCase(24, 3, 1, 60, 60, random), random, ThreadsFor(4));
}

// Windows that no kernel is for are done by plain loops.
TEST(QuantizedDepthwiseWithoutKernel) {
  Random random(Seed() + 105);
  QuantizedCase c = DepthwiseCase(2, 3, 1, 9, 11, random);
  c.spec.conv.kernel[0] = c.spec.conv.kernel[1] = 4;
  CheckQuantizedCase(c, random, SerialFor());
  c = DepthwiseCase(2, 3, 1, 9, 11, random);
  c.spec.conv.dilations[0] = c.spec.conv.dilations[1] = 2;
  CheckQuantizedCase(c, random, SerialFor());
}

// Bands, an input for each thread, one that is shared, and blocks of one run.
TEST(QuantizedThreads) {
  Random random(Seed() + 103);
  const int64_t shapes[][4] = {{4, 4, 3, 100}, {16, 16, 3, 29}, {256, 4, 3, 12}, {32, 64, 1, 27}};
  for (const auto& [in, out, kernel, size] : shapes) {
    ConvCase c;
    c.spec.in_channels = in;
    c.spec.out_channels = out;
    c.spec.kernel[0] = c.spec.kernel[1] = kernel;
    std::fill_n(c.spec.pads, 4, kernel / 2);
    c.height = c.width = size;
    c.density = 0.5;
    c.residual = true;
    const ThreadsFor threads(4);
    CheckQuantizedCase(OfWords(c, random), random, threads);
    EXPECT(threads.most_tasks() > 1, "one task alone for " << c.Describe());
  }
}

// Ties go to the even step, and what is out of range to its end.
TEST(QuantizedRounding) {
  for (const Isa isa : {Isa::kReference, IsaUnderTest()}) {
    QuantizedSpec spec;
    spec.conv.in_channels = spec.conv.out_channels = spec.conv.simd_group = 4;
    spec.y_zero = 100;
    const int8_t values[16] = {1, 0, 0, 0, -1, 0, 0, 0, 127, 0, 0, 0, -128, 0, 0, 0};
    const int32_t position = 0, bias[4] = {};
    const float scales[4] = {0.5F, 0.5F, 0.5F, 0.5F};
    std::unique_ptr<QuantizedConv> conv;
    std::shared_ptr<const QuantizedConvPlan> plan;
    Status status =
        QuantizedConv::Create(spec, {values, 16, &position, 1, bias, 4, scales, 4}, isa, &conv);
    if (status.ok()) status = conv->Plan(1, 1, 6, &plan);
    EXPECT(status.ok(), status.message());
    if (!status.ok()) return;
    const uint8_t inputs[6] = {0, 1, 2, 3, 5, 255};
    uint8_t x[24] = {}, y[24];
    for (int i = 0; i < 6; ++i) x[4 * i] = inputs[i];
    std::vector<char> scratch(plan->scratch_bytes);
    plan->Run(x, nullptr, y, scratch.data(), SerialFor());
    const uint8_t expected[24] = {100, 100, 100, 100, 100, 100, 164, 36, 101, 99, 227, 0,
                                  102, 98,  255, 0,   102, 98,  255, 0,  228, 0,  255, 0};
    for (int i = 0; i < 24; ++i) {
      EXPECT(y[i] == expected[i], "y[" << i << "] is " << int{y[i]} << ", expected "
                                       << int{expected[i]} << " by " << IsaName(isa));
    }
  }
}

TEST(BadQuantizedWeights) {
  QuantizedSpec good;
  good.conv.in_channels = good.conv.out_channels = good.conv.simd_group = 4;
  const std::vector<int8_t> values(16, 127);
  const int32_t position = 0, outside = 1, bias[4] = {}, huge[4] = {0, 2147483647, 0, 0};
  const float scales[4] = {1, 0, 1, 1};
  const float infinite[4] = {1, std::numeric_limits<float>::infinity(), 1, 1};
  const float nan[4] = {1, 1, std::nanf(""), 1}, negative[4] = {-1, 1, 1, 1};
  const QuantizedWeightsView view = {values.data(), 16, &position, 1, bias, 4, scales, 4};
  EXPECT(CheckQuantized(good, view).ok(), CheckQuantized(good, view).message());

  const auto refused = [&](const char* what, const char* part, auto change) {
    QuantizedSpec spec = good;
    QuantizedWeightsView wrong = view;
    change(&spec, &wrong);
    const Status status = CheckQuantized(spec, wrong);
    EXPECT(!status.ok() && status.message().find(part) != std::string::npos,
           what << ": " << status.message());
  };
  refused("channels", "words of 4", [](auto* s, auto*) { s->conv.in_channels = 6; });
  refused("filters", "words of 4", [](auto* s, auto*) { s->conv.out_channels = 6; });
  refused("rows", "words of 4", [](auto* s, auto*) { s->conv.simd_group = 2; });
  refused("groups", "words of 4", [](auto* s, auto*) { s->conv.group = 2; });
  refused("depthwise rows", "simd_group is 8", [](auto* s, auto*) {
    s->conv.group = s->conv.in_channels = s->conv.out_channels = 8;
    s->conv.simd_group = 8;
  });
  refused("depthwise channels", "words of 4",
          [](auto* s, auto*) { s->conv.group = s->conv.in_channels = s->conv.out_channels = 6; });
  refused("gate", "gates", [](auto* s, auto*) { s->conv.activation.gate = static_cast<Gate>(1); });
  refused("values", "words of 4", [](auto*, auto* w) { w->value_count = 15; });
  refused("fewer values", "3 values", [](auto*, auto* w) { w->value_count = 12; });
  refused("position", "positions[0]", [&](auto*, auto* w) { w->positions = &outside; });
  refused("biases", "3 biases", [](auto*, auto* w) { w->bias_count = 3; });
  refused("no bias", "missing", [](auto*, auto* w) { w->bias = nullptr; });
  refused("scales", "5 scales", [](auto*, auto* w) { w->scale_count = 5; });
  refused("no scales", "scales", [](auto*, auto* w) { w->scales = nullptr; });
  refused("infinite", "not finite", [&](auto*, auto* w) { w->scales = infinite; });
  refused("NaN", "not finite", [&](auto*, auto* w) { w->scales = nan; });
  refused("negative", "negative", [&](auto*, auto* w) { w->scales = negative; });
  refused("residual", "negative", [](auto* s, auto*) { s->residual_scale = -1; });
  refused("overflow", "32 bits", [&](auto*, auto* w) { w->bias = huge; });
}

}  // namespace
}  // namespace test
}  // namespace alcs
