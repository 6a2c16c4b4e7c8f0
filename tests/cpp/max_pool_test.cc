// Every max pooling row of the registry, and windows without one, against the reference.
#include "alcs/max_pool.h"

#include <algorithm>
#include <cstring>
#include <limits>

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
