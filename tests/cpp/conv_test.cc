// Every row of the kernel registry against the reference.
#include <algorithm>
#include <cmath>
#include <limits>

#include "conv_case.h"
#include "harness.h"
#include "registry.h"

namespace alcs {
namespace test {
namespace {

// What the planner says of a case.
std::string Described(const ConvCase& c, Random& random) {
  std::unique_ptr<Conv> conv;
  std::shared_ptr<const ConvPlan> plan;
  Status status =
      Conv::Create(c.spec, RandomWeights(c.spec, c.density, random, c.whole_blocks).view(),
                   IsaUnderTest(), &conv);
  if (status.ok()) status = conv->Plan(c.batch, c.height, c.width, &plan);
  EXPECT(status.ok(), status.message());
  return status.ok() ? plan->Describe() : std::string();
}

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// Whether the instruction set under test has tiles of so many rows.
bool HasTile(int rows) {
  const auto& tiles = KernelsOf<Float32>(IsaUnderTest()).tile;
  return std::any_of(tiles.begin(), tiles.end(),
                     [=](const auto& tile) { return tile.kernel->rows == rows; });
}

TEST(RandomSweep) {
  Random random(Seed());
  for (int i = 0; i < CaseCount(); ++i) {
    CheckCase(RandomCase(random), IsaUnderTest(), random, SerialFor());
  }
}

// Numbers of pixels one below, at and one above what the tiles cover, in one run and in rows.
TEST(TileBoundaries) {
  Random random(Seed() + 1);
  const int64_t step = CaseCount() < 500 ? 7 : 1;
  for (const int64_t simd_group : {1, 2, 4, 8}) {
    for (int64_t pixels = 1 + Uniform(random, 0, step - 1); pixels <= 210; pixels += step) {
      ConvCase c;
      c.spec.in_channels = 3;
      c.spec.out_channels = simd_group + 1;
      c.spec.simd_group = simd_group;
      c.spec.activation = RandomActivation(random);
      c.residual = pixels % 2 == 0;
      c.width = pixels;
      CheckCase(c, IsaUnderTest(), random, SerialFor());
      c.spec.kernel[0] = c.spec.kernel[1] = 3;
      std::fill_n(c.spec.pads, 4, 1);
      c.width = pixels % 70 + 1;
      c.height = pixels / 16 + 1;
      CheckCase(c, IsaUnderTest(), random, SerialFor());
    }
  }
}

// Images whose prepared form is large enough to be made band by band, with a shorter last band.
TEST(Bands) {
  Random random(Seed() + 5);
  for (const int64_t width : {130, 208, 211}) {
    for (const int64_t stride : {1, 2}) {
      ConvCase c;
      c.spec.group = stride;
      c.spec.in_channels = 6 * stride;
      c.spec.out_channels = stride * Uniform(random, 5, 9);
      c.spec.simd_group = Uniform(random, 1, 8);
      c.spec.kernel[0] = 3;
      c.spec.kernel[1] = 5;
      c.spec.strides[0] = c.spec.strides[1] = stride;
      for (int64_t& pad : c.spec.pads) pad = Uniform(random, 0, 3);
      c.spec.activation = RandomActivation(random);
      c.batch = width == 211 ? 2 : 1;
      c.residual = width != 208;
      c.density = 0.3;
      c.width = width;
      c.height = Uniform(random, 200, 240);
      CheckCase(c, IsaUnderTest(), random, SerialFor());
      EXPECT(Contains(Described(c, random), " bands of "), c.Describe());
    }
  }
}

// So many channels and pixels that a block does some tiles at once, several times over, the last
// time fewer; with the gate, which follows the tiles.
TEST(TilesAtOnce) {
  Random random(Seed() + 6);
  for (const int64_t kernel : {1, 3}) {
    for (const Gate gate : {Gate::kNone, Gate::kHardSwish}) {
      ConvCase c;
      c.spec.in_channels = kernel == 1 ? 150 : 60;
      c.spec.out_channels = 19;
      c.spec.simd_group = 4;
      c.spec.kernel[0] = c.spec.kernel[1] = kernel;
      std::fill_n(c.spec.pads, 4, kernel / 2);
      c.spec.activation.gate = gate;
      c.residual = gate == Gate::kNone;
      c.density = 0.1;
      c.height = 37;
      c.width = 41;
      CheckCase(c, IsaUnderTest(), random, SerialFor());
      EXPECT(Contains(Described(c, random), " at once"), c.Describe());
    }
  }
}

TEST(Depthwise) {
  Random random(Seed() + 2);
  const int64_t kernels[] = {3, 5, 7, 4};
  const int64_t strides[] = {1, 2, 3};
  const int per_kind = std::max(4, CaseCount() / 15);
  for (const int64_t kernel : kernels) {
    for (const int64_t stride : strides) {
      for (int i = 0; i < per_kind; ++i) {
        ConvCase c;
        c.spec.in_channels = c.spec.group = Uniform(random, 1, 5);
        const int64_t multiplier = random() % 4 == 0 ? Uniform(random, 2, 3) : 1;
        c.spec.out_channels = c.spec.in_channels * multiplier;
        c.spec.simd_group = Uniform(random, 1, multiplier);
        c.spec.kernel[0] = c.spec.kernel[1] = kernel;
        c.spec.strides[0] = c.spec.strides[1] = stride;
        std::fill_n(c.spec.pads, 4, kernel / 2);
        if (random() % 3 == 0) {
          for (int64_t& pad : c.spec.pads) pad = Uniform(random, 0, kernel + 1);
        }
        c.spec.activation = RandomActivation(random);
        c.residual = random() % 4 == 0;
        c.density = random() % 4 == 0 ? 0.5 : 1;
        c.height =
            Uniform(random, std::max<int64_t>(1, kernel - c.spec.pads[0] - c.spec.pads[2]), 40);
        c.width = Uniform(random, std::max<int64_t>(1, kernel - c.spec.pads[1] - c.spec.pads[3]),
                          i % 8 == 0 ? 300 : 70);
        CheckCase(c, IsaUnderTest(), random, SerialFor());
      }
    }
  }
}

TEST(EmptyBatchAndHugePads) {
  Random random(Seed() + 3);
  ConvCase c;
  c.spec.in_channels = 2;
  c.spec.out_channels = 5;
  c.spec.simd_group = 4;
  c.spec.kernel[0] = c.spec.kernel[1] = 3;
  c.width = c.height = 3;
  c.batch = 0;
  CheckCase(c, IsaUnderTest(), random, SerialFor());
  c.batch = 1;
  std::fill_n(c.spec.pads, 4, 40);  // most outputs see no input at all
  CheckCase(c, IsaUnderTest(), random, SerialFor());
  c.spec.strides[0] = c.spec.strides[1] = 2;
  CheckCase(c, IsaUnderTest(), random, SerialFor());
  c.spec.in_channels = c.spec.out_channels = c.spec.group = 2;
  c.spec.simd_group = 1;
  CheckCase(c, IsaUnderTest(), random, SerialFor());
}

// Two channels, a 2 x 2 kernel and a stride, worked out by hand, for the reference too.
TEST(WorkedExample) {
  ConvSpec spec;
  spec.out_channels = 3;
  spec.in_channels = 2;
  spec.simd_group = 2;
  spec.kernel[0] = spec.kernel[1] = 2;
  spec.strides[1] = 2;
  spec.pads[1] = 1;
  spec.activation = {1.0F, 0.0F, 100.0F};
  // Block 0 (channels 0, 1): column 1 = (c 0, r 0, s 1), column 6 = (c 1, r 1, s 0).
  // Block 1 (channel 2 and padding): column 0.
  const std::vector<float> values = {1, -1, 2, 3, 10, 99};
  const std::vector<int32_t> positions = {1, 6, 8};
  const std::vector<float> bias = {0.5F, 0, -1};
  const std::vector<float> x = {1, 2, 3, 4,  5,  6,    // channel 0: 2 x 3
                                7, 8, 9, 10, 11, 12};  // channel 1
  const std::vector<float> residual = {0, 0, 0, 0, 0, -90};
  // Padded rows are 0 1 2 3 and 0 10 11 12 (lower row of channel 1); outputs at columns 0 and 2.
  const std::vector<float> expected = {1.5F, 25.5F, 0, 30, 0, 0};
  for (const Isa isa : {Isa::kReference, IsaUnderTest()}) {
    std::unique_ptr<Conv> conv;
    std::shared_ptr<const ConvPlan> plan;
    Status status =
        Conv::Create(spec, {values.data(), 6, positions.data(), 3, bias.data(), 3}, isa, &conv);
    EXPECT(status.ok(), status.message());
    status = conv->Plan(1, 2, 3, &plan);
    EXPECT(status.ok(), status.message());
    EXPECT(plan->sizes.out_height == 1 && plan->sizes.out_width == 2, "2 x 3 padded to 2 x 4");
    std::vector<float> y(6), scratch(plan->scratch_bytes / sizeof(float) + 1);
    plan->Run(x.data(), residual.data(), y.data(), scratch.data(), SerialFor());
    for (std::size_t i = 0; i < y.size(); ++i) {
      EXPECT(y[i] == expected[i], IsaName(isa) << " y[" << i << "] is " << y[i]);
    }
  }
}

// What the references are compared with nowhere else: values known to ten digits.
TEST(GateReferences) {
  const struct {
    Gate gate;
    double v, y;
  } known[] = {{Gate::kHardSwish, -4, 0},
               {Gate::kHardSwish, 1, 0.6666666667},
               {Gate::kHardSwish, 4, 4},
               {Gate::kHardSwish, -1.5, -0.375},
               {Gate::kSilu, 1, 0.7310585786},
               {Gate::kSilu, -2, -0.2384058440},
               {Gate::kSilu, 0, 0}};
  for (const auto& k : known) {
    const double y = InfoOf(k.gate).reference(k.v);
    EXPECT(std::fabs(y - k.y) < 1e-10, InfoOf(k.gate).name << " of " << k.v << " is " << y);
  }
}

// The gates over all of float's range, in whole vectors and in the rest, within their own bounds.
TEST(GatesOverTheWholeRange) {
  std::vector<float> x = {0.0F, -0.0F, 3.0F, -3.0F, 1e-30F, -1e-30F};
  for (float v = -110; v < 110; v += 0.00390625F) x.push_back(v + v * 1e-4F);
  for (float v = 128; std::isfinite(v); v *= 1.7F) {
    x.push_back(v);
    x.push_back(-v);
  }
  x.push_back(std::numeric_limits<float>::max());
  x.push_back(std::numeric_limits<float>::lowest());
  while (x.size() % 16 != 11) x.push_back(std::numeric_limits<float>::quiet_NaN());
  const auto pixels = static_cast<int64_t>(x.size());
  const float one = 1, zero = 0;
  const int32_t first = 0;
  constexpr double kEpsilon = std::numeric_limits<float>::epsilon();
  for (int number = 1; number < kGates; ++number) {
    const auto gate = static_cast<Gate>(number);
    for (const Isa isa : {Isa::kReference, IsaUnderTest()}) {
      ConvSpec spec;
      spec.out_channels = spec.in_channels = 1;
      spec.activation.gate = gate;
      std::unique_ptr<Conv> conv;
      std::shared_ptr<const ConvPlan> plan;
      Status status = Conv::Create(spec, {&one, 1, &first, 1, &zero, 1}, isa, &conv);
      if (status.ok()) status = conv->Plan(1, 1, pixels, &plan);
      EXPECT(status.ok(), status.message());
      if (!status.ok()) return;
      std::vector<float> y(x.size()), scratch(plan->scratch_bytes / sizeof(float) + 1);
      plan->Run(x.data(), nullptr, y.data(), scratch.data(), SerialFor());
      for (std::size_t i = 0; i < x.size(); ++i) {
        const double v = x[i];
        const double expected = InfoOf(gate).reference(v);
        const double bound = kEpsilon * BoundsOf(gate).error(v, expected);
        EXPECT(std::isnan(v) ? std::isnan(y[i]) : std::fabs(y[i] - expected) <= bound,
               IsaName(isa) << " " << InfoOf(gate).name << " of " << v << " is " << y[i]
                            << ", expected " << expected);
      }
    }
  }
}

TEST(DescribeNamesTheKernels) {
  Random random(Seed());
  for (const int64_t group : {1, 8}) {
    ConvSpec spec;
    spec.in_channels = spec.out_channels = 8;
    spec.group = group;
    spec.kernel[0] = spec.kernel[1] = 3;
    std::fill_n(spec.pads, 4, 1);
    std::unique_ptr<Conv> conv;
    std::shared_ptr<const ConvPlan> plan;
    Status status =
        Conv::Create(spec, RandomWeights(spec, 1, random).view(), IsaUnderTest(), &conv);
    if (status.ok()) status = conv->Plan(1, 20, 20, &plan);
    EXPECT(status.ok(), status.message());
    if (!status.ok()) return;
    const std::string line = plan->Describe();
    EXPECT(line.find(plan->kernel_name()) != std::string::npos, line);
    EXPECT(line.find("20 x 20 outputs") != std::string::npos, line);
  }
}

// Unstructured weights where zeros in a taller tile cost less, and where they do not.
TEST(MergedBlocks) {
  Random random(Seed() + 7);
  for (const int64_t simd_group : {1, 2}) {
    for (const double density : {0.1, 0.3, 0.5, 0.7, 0.9}) {
      ConvCase c;
      c.spec.group = 2;
      c.spec.in_channels = 24;
      c.spec.out_channels = 2 * Uniform(random, 9, 17);
      c.spec.simd_group = simd_group;
      c.spec.kernel[0] = c.spec.kernel[1] = 3;
      std::fill_n(c.spec.pads, 4, 1);
      c.density = density;
      c.residual = simd_group == 1;
      c.height = c.width = Uniform(random, 7, 20);
      CheckCase(c, IsaUnderTest(), random, SerialFor());
      if (simd_group > 1) continue;
      // An even number of rows leaves none that fits no taller tile.
      c.spec.out_channels = 16;
      const std::string line = Described(c, random);
      const bool alone = Contains(line, "_tile_1 ");
      // Pairs merge first, where there is a tile of two (the portable kernels have none).
      if (density > 0.8 && HasTile(2)) EXPECT(!alone, line);
      if (density < 0.2) EXPECT(alone, line);
    }
  }
}

// Rows with the same columns share tiles wherever they are: those of whole filters that stay, and
// those that have nothing but a bias. With all that a scattered tile stores or reads.
TEST(ScatteredRows) {
  Random random(Seed() + 9);
  for (const int64_t simd_group : {1, 3}) {
    for (const int64_t width : {1, 2, 7, 16, 40}) {
      for (const Gate gate : {Gate::kNone, Gate::kHardSwish}) {
        ConvCase c;
        c.spec.group = 2;
        c.spec.in_channels = 10;
        c.spec.out_channels = 2 * Uniform(random, 20, 40);
        c.spec.simd_group = simd_group;
        c.spec.kernel[0] = c.spec.kernel[1] = width == 7 ? 1 : 3;
        std::fill_n(c.spec.pads, 4, width == 7 ? 0 : 1);
        c.spec.activation.gate = gate;
        c.residual = gate == Gate::kNone;
        c.whole_blocks = true;
        c.height = c.width = width;
        CheckCase(c, IsaUnderTest(), random, SerialFor());
      }
    }
  }
  // Low tiles take only what the tall ones leave, of the rows with columns and of those without.
  ConvCase c;
  c.spec.in_channels = c.spec.out_channels = 64;
  c.whole_blocks = true;
  c.height = c.width = 16;
  const std::string line = Described(c, random);
  const std::string low = "_tile_1 on ";
  const std::size_t at = line.find(low);
  if (at != std::string::npos) EXPECT(std::stoi(line.substr(at + low.size())) <= 6, line);
}

// Enough input channels for sums in parts, with everything that the parts must not do twice.
TEST(PartsOfTheInput) {
  Random random(Seed() + 8);
  for (const int64_t width : {19, 28, 40}) {
    for (const bool residual : {false, true}) {
      ConvCase c;
      c.spec.in_channels = width == 19 ? 90 : 300;
      c.spec.out_channels = 9;
      c.spec.simd_group = 4;
      c.spec.kernel[0] = c.spec.kernel[1] = width == 19 ? 3 : 1;
      if (width == 40) c.spec.activation.gate = Gate::kHardSwish;
      if (width != 40) c.spec.activation = {0.25F, -0.125F, 0.75F};
      c.residual = residual;
      c.batch = 2;
      c.density = 0.9;
      c.height = 5;
      c.width = width;
      CheckCase(c, IsaUnderTest(), random, SerialFor());
      if (KernelsOf<Float32>(IsaUnderTest()).input_parts > 1) {
        EXPECT(Contains(Described(c, random), " parts"), c.Describe());
      }
    }
  }
}

// As in a dense convolution: a NaN in the input is a NaN in what depends on it, and only there.
TEST(NanPassesThrough) {
  Random random(Seed() + 4);
  for (const int64_t kernel : {1, 3}) {
    for (const int64_t group : {1, 4}) {
      ConvSpec spec;
      spec.in_channels = spec.out_channels = 4;
      spec.group = group;
      spec.simd_group = group == 1 ? 4 : 1;
      spec.kernel[0] = spec.kernel[1] = kernel;
      std::fill_n(spec.pads, 4, kernel / 2);
      spec.activation = {0.5F, -1.0F, 1.0F};
      const Weights weights = RandomWeights(spec, 1, random);
      std::unique_ptr<Conv> conv;
      std::shared_ptr<const ConvPlan> plan;
      Status status = Conv::Create(spec, weights.view(), IsaUnderTest(), &conv);
      if (status.ok()) status = conv->Plan(1, 20, 20, &plan);
      EXPECT(status.ok(), status.message());
      if (!status.ok()) return;
      std::vector<float> x(1600, 0.25F), y(1600), scratch(plan->scratch_bytes / sizeof(float) + 1);
      x[400 + 5 * 20 + 7] = std::numeric_limits<float>::quiet_NaN();  // channel 1, row 5, column 7
      plan->Run(x.data(), nullptr, y.data(), scratch.data(), SerialFor());
      for (int64_t i = 0; i < 1600; ++i) {
        const int64_t c = i / 400, row = i / 20 % 20, column = i % 20;
        const bool depends = (group == 1 || c == 1) && std::abs(row - 5) <= kernel / 2 &&
                             std::abs(column - 7) <= kernel / 2;
        EXPECT(std::isnan(y[static_cast<std::size_t>(i)]) == depends,
               "kernel " << kernel << " group " << group << " y[" << i << "]");
      }
    }
  }
}

}  // namespace
}  // namespace test
}  // namespace alcs
