// Many threads in one Run, and many Runs of one Conv. Worth most under the thread sanitizer.
#include <algorithm>
#include <cstring>
#include <thread>

#include "alcs/max_pool.h"
#include "conv_case.h"
#include "harness.h"
#include "threads_for.h"
#include "workspace.h"

namespace alcs {
namespace test {
namespace {

struct Layer {
  const char* name;
  ConvSpec spec;
  int64_t size;
};

// Large enough that each is cut into many tasks, by tiles, by blocks and by channels.
std::vector<Layer> Layers() {
  const auto layer = [](const char* name, int64_t in, int64_t out, int64_t group, int64_t kernel,
                        int64_t stride, int64_t simd_group, int64_t size) {
    ConvSpec spec;
    spec.in_channels = in;
    spec.out_channels = out;
    spec.group = group;
    spec.kernel[0] = spec.kernel[1] = kernel;
    spec.strides[0] = spec.strides[1] = stride;
    spec.simd_group = simd_group;
    std::fill_n(spec.pads, 4, kernel / 2);
    return Layer{name, spec, size};
  };
  return {layer("rows of tiles", 32, 32, 1, 3, 1, 4, 29),
          layer("one run", 128, 128, 1, 1, 1, 8, 27),
          layer("blocks", 96, 192, 1, 3, 1, 4, 7),
          layer("stride", 64, 64, 1, 3, 2, 4, 30),
          layer("bands", 16, 16, 1, 3, 1, 4, 100),
          layer("depthwise", 96, 96, 96, 3, 1, 1, 60),
          layer("one shared copy", 2048, 16, 1, 3, 1, 4, 12),
          layer("one pixel", 512, 1000, 1, 1, 1, 8, 1)};
}

// Each layer without and with a gate: no output may be gated twice.
TEST(ThreadsDoNotChangeTheResult) {
  std::vector<Layer> layers = Layers();
  for (const Layer& layer : Layers()) {
    layers.push_back(layer);
    layers.back().spec.activation.gate = static_cast<Gate>(1 + layers.size() % (kGates - 1));
  }
  for (const Layer& layer : layers) {
    Random random(Seed());
    const Weights weights = RandomWeights(layer.spec, 0.4, random);
    std::unique_ptr<Conv> conv;
    std::shared_ptr<const ConvPlan> plan;
    Status status = Conv::Create(layer.spec, weights.view(), IsaUnderTest(), &conv);
    if (status.ok()) status = conv->Plan(2, layer.size, layer.size, &plan);
    EXPECT(status.ok(), status.message());
    if (!status.ok()) return;
    std::vector<float> x(
        static_cast<std::size_t>(2 * layer.spec.in_channels * layer.size * layer.size));
    for (float& f : x) f = UniformFloat(random);
    const auto outputs = static_cast<std::size_t>(2 * layer.spec.out_channels *
                                                  plan->sizes.out_height * plan->sizes.out_width);
    const auto run = [&](const ParallelFor& parallel) {
      std::vector<float> y(outputs);
      std::vector<char> scratch(plan->scratch_bytes);
      plan->Run(x.data(), nullptr, y.data(), scratch.data(), parallel);
      return y;
    };
    const std::vector<float> serial = run(SerialFor());
    const auto same = [&](const std::vector<float>& y) {
      return std::memcmp(y.data(), serial.data(), outputs * sizeof(float)) == 0;
    };
    ThreadsFor three(3);
    EXPECT(same(run(three)), layer.name);
    three.set_reverse(true);
    EXPECT(same(run(three)), layer.name << ", in reverse");
    // More threads than there is scratch memory for.
    EXPECT(same(run(ThreadsFor(24))), layer.name << ", on many threads");
    EXPECT(three.most_tasks() > 1 || IsaUnderTest() == Isa::kReference,
           layer.name << " was not cut into tasks");

    std::vector<std::vector<float>> results(3);
    std::vector<std::thread> callers;
    for (auto& result : results) {
      callers.emplace_back([&] { result = run(ThreadsFor(2)); });
    }
    for (std::thread& caller : callers) caller.join();
    for (const auto& result : results) EXPECT(same(result), layer.name << ", concurrently");
  }
}

TEST(MaxPoolThreadsDoNotChangeTheResult) {
  for (const Isa isa : {IsaUnderTest(), Isa::kReference}) {
    Random random(Seed());
    ConvSpec spec;
    spec.kernel[0] = spec.kernel[1] = 3;
    spec.strides[0] = spec.strides[1] = 2;
    std::fill_n(spec.pads, 4, 1);
    MaxPool pool;
    EXPECT(MaxPool::Create(spec, isa, &pool).ok(), "a plain window");
    constexpr int64_t kChannels = 96, kSize = 60;
    std::vector<float> x(kChannels * kSize * kSize);
    for (float& f : x) f = UniformFloat(random);
    const auto run = [&](const ParallelFor& parallel) {
      std::vector<float> y(kChannels * kSize * kSize / 4);
      pool.Run(kChannels, kSize, kSize, x.data(), y.data(), parallel);
      return y;
    };
    const ThreadsFor three(3);
    EXPECT(run(three) == run(SerialFor()), IsaName(isa));
    EXPECT(three.most_tasks() > 1, IsaName(isa) << " was not cut into tasks");
  }
}

TEST(WorkspacesBelongToOneThread) {
  WorkspacePool workspaces(2);
  int users[2] = {0, 0};  // each only touched by who has the workspace
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i) {
        const int workspace = workspaces.Acquire();
        ++users[workspace];
        workspaces.Release(workspace);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT(users[0] + users[1] == 8 * 500, users[0] << " + " << users[1]);
}

}  // namespace
}  // namespace test
}  // namespace alcs
