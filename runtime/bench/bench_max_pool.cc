#include "bench_max_pool.h"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <string>

#include "alcs/max_pool.h"
#include "subject.h"

namespace alcs {
namespace bench {
namespace {

constexpr int64_t kChannels = 64;

void Run(benchmark::State& state, Isa isa, int64_t kernel, int64_t stride, int64_t size) {
  ConvSpec spec;
  spec.kernel[0] = spec.kernel[1] = kernel;
  spec.strides[0] = spec.strides[1] = stride;
  std::fill_n(spec.pads, 4, (kernel - 1) / 2);
  MaxPool pool;
  int64_t out_h = 0, out_w = 0;
  Status status = MaxPool::Create(spec, isa, &pool);
  if (status.ok()) status = pool.OutputSize(size, size, &out_h, &out_w);
  if (!status.ok()) {
    state.SkipWithError(status.message().c_str());
    return;
  }
  Buffer x, y;
  x.Resize(static_cast<std::size_t>(kChannels * size * size) * sizeof(float));
  y.Resize(static_cast<std::size_t>(kChannels * out_h * out_w) * sizeof(float));
  for (auto _ : state) {
    pool.Run(kChannels, size, size, x.as<float>(), y.as<float>(), SerialFor());
  }
  const auto bytes = static_cast<int64_t>(x.bytes() + y.bytes());
  state.SetBytesProcessed(state.iterations() * bytes);
  state.SetLabel(pool.kernel_name());
}

}  // namespace

void RegisterMaxPools(Isa isa) {
  constexpr int64_t kWindows[][2] = {{2, 2}, {3, 1}, {3, 2}, {5, 1}};
  for (const auto& [kernel, stride] : kWindows) {
    for (const int64_t size : {112, 28}) {
      const std::string name = "max_pool/k" + std::to_string(kernel) + "s" +
                               std::to_string(stride) + "_" + std::to_string(size);
      benchmark::RegisterBenchmark(name.c_str(), [=, k = kernel,
                                                  s = stride](benchmark::State& state) {
        Run(state, isa, k, s, size);
      })->Unit(benchmark::kMicrosecond);
    }
  }
}

}  // namespace bench
}  // namespace alcs
