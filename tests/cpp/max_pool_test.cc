// Every max pooling row of the registry, and windows without one, against the reference.
#include "alcs/max_pool.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "conv_case.h"
#include "harness.h"

namespace alcs {
namespace test {
namespace {

void CheckPool(const ConvSpec& spec, int64_t channels, int64_t h, int64_t w, Random& random) {
  MaxPool pool, reference;
  int64_t out_h = 0, out_w = 0;
  Status status = MaxPool::Create(spec, IsaUnderTest(), &pool);
  if (status.ok()) status = MaxPool::Create(spec, Isa::kReference, &reference);
  if (status.ok()) status = pool.OutputSize(h, w, &out_h, &out_w);
  EXPECT(status.ok(), status.message());
  if (!status.ok()) return;
  const auto inputs = static_cast<std::size_t>(channels * h * w);
  const auto outputs = static_cast<std::size_t>(channels * out_h * out_w);
  const bool at_end = (random() & 1) != 0;
  const GuardedMemory x(inputs * sizeof(float), at_end), y(outputs * sizeof(float), at_end);
  // All negative: zeros from outside the image would show.
  for (std::size_t i = 0; i < inputs; ++i) x.floats()[i] = UniformFloat(random) - 2.0F;
  std::memset(y.data(), 0xff, outputs * sizeof(float));
  pool.Run(channels, h, w, x.floats(), y.floats(), SerialFor());
  std::vector<float> expected(outputs);
  reference.Run(channels, h, w, x.floats(), expected.data(), SerialFor());
  const bool same = std::equal(expected.begin(), expected.end(), y.floats());
  EXPECT(same, pool.kernel_name() << " on " << channels << " x " << h << " x " << w);
  EXPECT(y.intact(), "wrote outside y: " << pool.kernel_name());
}

TEST(MaxPoolSweep) {
  Random random(Seed() + 6);
  for (const int64_t kernel : {1, 2, 3, 5}) {
    for (const int64_t stride : {1, 2, 3}) {
      for (int i = 0; i < std::max(8, CaseCount() / 20); ++i) {
        ConvSpec spec;
        spec.kernel[0] = spec.kernel[1] = kernel;
        spec.strides[0] = spec.strides[1] = stride;
        for (int64_t& pad : spec.pads)
          pad = i % 3 == 0 ? kernel / 2 : Uniform(random, 0, kernel - 1);
        const int64_t most = i % 4 == 0 ? 80 : 24;
        CheckPool(spec, Uniform(random, 1, 4), Uniform(random, kernel, most),
                  Uniform(random, kernel, most), random);
      }
    }
  }
}

// Bytes in words of four channels, against loops over every window.
void CheckWordPool(const ConvSpec& spec, int64_t words, int64_t h, int64_t w, Random& random) {
  MaxPool pool;
  int64_t out_h = 0, out_w = 0;
  Status status = MaxPool::Create(spec, IsaUnderTest(), &pool);
  if (status.ok()) status = pool.OutputSize(h, w, &out_h, &out_w);
  EXPECT(status.ok(), status.message());
  if (!status.ok()) return;
  const auto inputs = static_cast<std::size_t>(words * h * w * 4);
  const auto outputs = static_cast<std::size_t>(words * out_h * out_w * 4);
  const bool at_end = (random() & 1) != 0;
  const GuardedMemory x(inputs, at_end), y(outputs, at_end);
  std::generate_n(x.bytes(), inputs, [&] { return static_cast<uint8_t>(random()); });
  std::memset(y.data(), 0xff, outputs);
  pool.RunWords(words, h, w, x.bytes(), y.bytes(), SerialFor());
  bool same = true;
  for (int64_t i = 0; i < static_cast<int64_t>(outputs); ++i) {
    const int64_t c = i % 4, ox = i / 4 % out_w, oy = i / 4 / out_w % out_h;
    const int64_t word = i / 4 / out_w / out_h;
    int expected = 0;
    for (int64_t ky = 0; ky < spec.kernel[0]; ++ky) {
      for (int64_t kx = 0; kx < spec.kernel[1]; ++kx) {
        const int64_t iy = oy * spec.strides[0] - spec.pads[0] + ky;
        const int64_t ix = ox * spec.strides[1] - spec.pads[1] + kx;
        if (iy < 0 || iy >= h || ix < 0 || ix >= w) continue;
        expected = std::max<int>(expected, x.bytes()[((word * h + iy) * w + ix) * 4 + c]);
      }
    }
    same = same && y.bytes()[i] == expected;
  }
  EXPECT(same, "words " << words << " x " << h << " x " << w << ", window " << spec.kernel[0]
                        << " x " << spec.kernel[1] << ", stride " << spec.strides[1]);
  EXPECT(y.intact(), "wrote outside y");
}

TEST(WordPoolSweep) {
  Random random(Seed() + 7);
  for (int i = 0; i < std::max(40, CaseCount() / 10); ++i) {
    ConvSpec spec;
    for (int axis = 0; axis < 2; ++axis) {
      spec.kernel[axis] = Uniform(random, 1, 5);
      spec.strides[axis] = Uniform(random, 1, 3);
      for (const int end : {axis, axis + 2}) {
        spec.pads[end] = Uniform(random, 0, spec.kernel[axis] - 1);
      }
    }
    const int64_t most = i % 4 == 0 ? 80 : 24;
    CheckWordPool(spec, Uniform(random, 1, 4), Uniform(random, spec.kernel[0], most),
                  Uniform(random, spec.kernel[1], most), random);
  }
}

// Rows and windows that are longer than what is done at a time.
TEST(WordPoolLongRows) {
  Random random(Seed() + 8);
  for (const auto& [kernel, stride] : {std::pair<int64_t, int64_t>{2, 2}, {3, 5}, {1500, 1}}) {
    ConvSpec spec;
    spec.kernel[1] = kernel;
    spec.strides[1] = stride;
    spec.pads[1] = kernel / 2;
    CheckWordPool(spec, 1, 1, 2000, random);
  }
}

// Worked out by hand, for the reference too: a NaN counts as no pixel, nor does what lies outside.
TEST(MaxPoolWorkedExample) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float nothing = -std::numeric_limits<float>::infinity();
  const std::vector<float> x = {nan, -2, -3,  -4,   //
                                -5,  -1, nan, -8};  // 2 x 4
  const std::vector<float> alone = {nan};
  for (const Isa isa : {Isa::kReference, IsaUnderTest()}) {
    ConvSpec spec;
    spec.kernel[0] = spec.kernel[1] = 3;
    std::fill_n(spec.pads, 4, 1);
    MaxPool pool;
    EXPECT(MaxPool::Create(spec, isa, &pool).ok(), "a plain window");
    std::vector<float> y(8);
    pool.Run(1, 2, 4, x.data(), y.data(), SerialFor());
    const std::vector<float> expected = {-1, -1, -1, -3, -1, -1, -1, -3};
    EXPECT(y == expected, IsaName(isa) << ": " << y[0] << " " << y[3]);
    pool.Run(1, 1, 1, alone.data(), y.data(), SerialFor());
    EXPECT(y[0] == nothing, IsaName(isa) << ": " << y[0]);
  }
}

TEST(MaxPoolRefusals) {
  const auto refused = [](ConvSpec spec, const char* why) {
    MaxPool pool;
    EXPECT(!MaxPool::Create(spec, IsaUnderTest(), &pool).ok(), why);
  };
  ConvSpec spec;
  spec.kernel[0] = spec.kernel[1] = 2;
  spec.pads[2] = 2;
  refused(spec, "a window in the padding altogether");
  spec.pads[2] = -1;
  refused(spec, "negative pads");
  spec.pads[2] = 0;
  spec.dilations[1] = 2;
  refused(spec, "dilations");
  spec.dilations[1] = 1;
  spec.strides[0] = 0;
  refused(spec, "no stride");
  spec.strides[0] = 1;
  MaxPool pool;
  int64_t out_h = 0, out_w = 0;
  EXPECT(MaxPool::Create(spec, IsaUnderTest(), &pool).ok(), "a plain window");
  EXPECT(!pool.OutputSize(1, 5, &out_h, &out_w).ok(), "an image smaller than the window");
}

}  // namespace
}  // namespace test
}  // namespace alcs
