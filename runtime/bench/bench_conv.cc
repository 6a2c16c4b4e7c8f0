// Speed of the convolution engine, layer by layer, as a share of the peak of this machine's
// multiply-add units measured just before each layer: floats of that of floats, bytes of that of
// bytes. One thread.
//
// A benchmark is NET/LAYER/[u8/]gG/dDENSITY/warm|cold, with u8 of 8-bit integers. "warm" repeats
// the layer, so that its weights stay in the near caches; "cold" walks over other memory before
// each run, as the rest of a network does. Counters: GMAC/s on stored weights, and its share of the
// peak, both at the median run; peak in GMAC/s. The label names the rows of the kernel registry
// that ran.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "alcs/conv.h"
#include "bench_max_pool.h"
#include "layers.h"
#include "options.h"
#include "peak.h"
#include "subject.h"

namespace alcs {
namespace bench {
namespace {

// More than the second-level caches of today's processors hold.
constexpr std::size_t kOtherBytes = std::size_t{8} << 20;
constexpr double kPeakSeconds = 0.01;
constexpr int64_t kAllGroups[] = {1, 2, 4, 8, 16, 0};
constexpr int64_t kCommonGroups[] = {4, 8};

struct Case {
  const Layer* layer;
  Element element;
  int64_t simd_group;
  double density;
  Isa isa;

  std::string Name() const {
    char text[64];
    std::snprintf(text, sizeof(text), "/d%g", density);
    const std::string group = simd_group == 0 ? "whole" : std::to_string(simd_group);
    return layer->Name() + (element == Element::kUint8 ? "/u8/g" : "/g") + group + text;
  }
};

// A case made ready, and what is known of it. google-benchmark calls a benchmark several times,
// and warm and cold follow one another: the latest one is kept.
struct Ready {
  std::string name;
  std::unique_ptr<Subject> subject;
  std::string rows;
  double peak = 0;
};

Status Prepare(const Case& which, Ready** found) {
  static Ready ready;
  *found = &ready;
  const std::string name = which.Name();
  if (ready.name == name) return Status();
  ready = Ready();
  const Status status = Subject::Make(*which.layer, which.element, which.simd_group, which.density,
                                      which.isa, &ready.subject);
  if (!status.ok()) return status;
  ready.rows = ready.subject->KernelRows();
  ready.peak = MeasurePeak(IsaName(which.isa), which.element, kPeakSeconds);
  ready.name = name;
  return status;
}

void WalkOtherMemory() {
  static const std::vector<char> other(kOtherBytes, 1);
  volatile char sink = 0;
  for (std::size_t i = 0; i < other.size(); i += 64) sink = other[i];
  (void)sink;
}

void RunCase(benchmark::State& state, const Case& which, bool cold) {
  Ready* ready = nullptr;
  const Status status = Prepare(which, &ready);
  if (!status.ok()) {
    state.SkipWithError(status.message().c_str());
    return;
  }
  Subject& subject = *ready->subject;
  for (int i = 0; i < 2; ++i) subject.Run();
  std::vector<double> times;
  for (auto _ : state) {
    if (cold) {
      WalkOtherMemory();
      subject.TouchInput();
    }
    const double start = ThreadSeconds();
    subject.Run();
    times.push_back(ThreadSeconds() - start);
    state.SetIterationTime(times.back());
  }
  if (times.empty()) return;
  const auto middle = times.begin() + static_cast<int64_t>(times.size() / 2);
  std::nth_element(times.begin(), middle, times.end());
  const double rate = subject.macs() / *middle;
  state.counters["GMAC/s"] = rate / 1e9;
  if (ready->peak > 0) {  // portable code has no peak of its own
    state.counters["peak"] = ready->peak / 1e9;
    state.counters["share"] = rate / ready->peak;
  }
  state.SetLabel(ready->rows);
}

void Register(const Case& which, int64_t cold_runs) {
  const std::string name = which.Name();
  const auto add = [&](const char* kind, bool cold) {
    return benchmark::RegisterBenchmark(
               (name + kind).c_str(),
               [which, cold](benchmark::State& state) { RunCase(state, which, cold); })
        ->UseManualTime()
        ->Unit(benchmark::kMicrosecond);
  };
  add("/warm", false);
  // A fixed number of runs: most of the time goes into the walk, which is not counted.
  add("/cold", true)->Iterations(cold_runs);
}

void RegisterAll(const Options& options) {
  for (const Layer& layer : Layers()) {
    std::vector<int64_t> groups = options.simd_groups;
    if (groups.empty() && layer.all_groups) {
      groups.assign(std::begin(kAllGroups), std::end(kAllGroups));
    } else if (groups.empty()) {
      groups.assign(std::begin(kCommonGroups), std::end(kCommonGroups));
    }
    std::vector<double> densities = options.densities;
    if (layer.always_dense()) {
      densities = {1};
      groups = {layer.depthwise() ? 1 : groups.front()};
    }
    for (const int64_t group : groups) {
      for (const double density : densities) {
        Register({&layer, Element::kFloat32, group, density, options.isa}, options.cold_runs);
        const bool words = layer.depthwise() || (group % 4 == 0 && group > 0);
        if (!layer.in_words() || !words) continue;
        Register({&layer, Element::kUint8, group, density, options.isa}, options.cold_runs);
      }
    }
  }
}

// Whoever adds a row to the registry should see its speed.
void TellUnused(Isa isa) {
  for (const KernelUse& use : KernelUses()) {
    if (use.isa == isa && use.runs == 0) {
      std::fprintf(stderr, "%s: no benchmark of this run used it\n", use.name);
    }
  }
}

int Main(int argc, char** argv) {
  Options options;
  const auto given = [&](const std::string& flag) {
    return std::any_of(argv + 1, argv + argc, [&](const char* argument) {
      return std::string(argument).compare(0, flag.size(), flag) == 0;
    });
  };
  const bool help = given("--help");
  const bool all = !given("--benchmark_filter") && !given("--benchmark_list_tests");
  if (help) std::printf("bench_conv [flags]\n\n%s\nand those of google-benchmark:\n\n", kUsage);
  Status status = ParseOptions(&argc, argv, &options);
  if (!status.ok()) {
    std::fprintf(stderr, "bench_conv: %s\n", status.message().c_str());
    return 2;
  }
  // First, so that the caller's own flags win.
  std::string tabular = "--benchmark_counters_tabular=true";
  std::vector<char*> arguments = {argv[0], tabular.data()};
  arguments.insert(arguments.end(), argv + 1, argv + argc);
  auto count = static_cast<int>(arguments.size());
  benchmark::Initialize(&count, arguments.data());
  if (benchmark::ReportUnrecognizedArguments(count, arguments.data())) return 2;
  benchmark::AddCustomContext("isa", IsaName(options.isa));
  const auto tell_peak = [&](const char* name, Element element) {
    const double peak = MeasurePeak(IsaName(options.isa), element, 0.5);
    benchmark::AddCustomContext(name, std::to_string(peak / 1e9));
  };
  tell_peak("fma_peak_gmac_per_s", Element::kFloat32);
  tell_peak("dot_peak_gmac_per_s", Element::kUint8);
  RegisterAll(options);
  RegisterMaxPools(options.isa);
  benchmark::RunSpecifiedBenchmarks();
  if (all) TellUnused(options.isa);
  benchmark::Shutdown();
  return 0;
}

}  // namespace
}  // namespace bench
}  // namespace alcs

int main(int argc, char** argv) { return alcs::bench::Main(argc, argv); }
