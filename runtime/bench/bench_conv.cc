// Speed of the convolution engine, layer by layer, against the peak of this machine's multiply-add
// units measured in the same run. One thread.
//
//   bench_conv [--isa NAME] [--net SUBSTRING] [--simd-group 4,8] [--density 1,0.3] [--seconds 0.1]
//
// Two figures per layer: "warm" repeats the layer, so that its weights stay in the near caches;
// "cold" walks over other memory in between, as the rest of a network does.
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "alcs/conv.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace {

// Processor time of this thread, so that neighbours on a shared machine disturb less.
double Now() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

struct Layer {
  const char* net;
  int64_t in, out, kernel, stride, size;  // size: of the input
  int64_t group;
  alcs::Gate gate = alcs::Gate::kNone;
};

// The distinct convolutions of the networks at 224 x 224.
const Layer kLayers[] = {
    {"resnet", 3, 64, 7, 2, 224, 1},
    {"resnet18", 64, 64, 3, 1, 56, 1},
    {"resnet18", 64, 128, 3, 2, 56, 1},
    {"resnet18", 64, 128, 1, 2, 56, 1},
    {"resnet18", 128, 128, 3, 1, 28, 1},
    {"resnet18", 128, 256, 3, 2, 28, 1},
    {"resnet18", 128, 256, 1, 2, 28, 1},
    {"resnet18", 256, 256, 3, 1, 14, 1},
    {"resnet18", 256, 512, 3, 2, 14, 1},
    {"resnet18", 256, 512, 1, 2, 14, 1},
    {"resnet18", 512, 512, 3, 1, 7, 1},
    {"resnet50", 64, 64, 1, 1, 56, 1},
    {"resnet50", 64, 256, 1, 1, 56, 1},
    {"resnet50", 256, 64, 1, 1, 56, 1},
    {"resnet50", 512, 128, 1, 1, 28, 1},
    {"resnet50", 128, 512, 1, 1, 28, 1},
    {"resnet50", 1024, 256, 1, 1, 14, 1},
    {"resnet50", 256, 1024, 1, 1, 14, 1},
    {"resnet50", 2048, 512, 1, 1, 7, 1},
    {"resnet50", 512, 2048, 1, 1, 7, 1},
    {"mobilenet", 3, 32, 3, 2, 224, 1},
    {"mobilenet", 32, 64, 1, 1, 112, 1},
    {"mobilenet", 64, 128, 1, 1, 56, 1},
    {"mobilenet", 128, 256, 1, 1, 28, 1},
    {"mobilenet", 512, 512, 1, 1, 14, 1},
    {"mobilenet", 1024, 1024, 1, 1, 7, 1},
    {"mobilenet", 32, 32, 3, 1, 112, 32},
    {"mobilenet", 64, 64, 3, 2, 112, 64},
    {"mobilenet", 128, 128, 3, 1, 56, 128},
    {"mobilenet", 128, 128, 3, 2, 56, 128},
    {"mobilenet", 256, 256, 3, 1, 28, 256},
    {"mobilenet", 256, 256, 3, 2, 28, 256},
    {"mobilenet", 512, 512, 3, 1, 14, 512},
    {"mobilenet", 512, 512, 3, 2, 14, 512},
    {"mobilenet", 1024, 1024, 3, 1, 7, 1024},
    {"mobilenet", 240, 240, 5, 1, 28, 240},
    {"mobilenet-v3", 40, 240, 1, 1, 28, 1, alcs::Gate::kHardSwish},
    {"mobilenet-v3", 240, 240, 5, 1, 28, 240, alcs::Gate::kHardSwish},
    {"efficientnet", 40, 240, 1, 1, 28, 1, alcs::Gate::kSilu},
    {"efficientnet", 240, 240, 5, 1, 28, 240, alcs::Gate::kSilu},
};

// Aligned like the tensors of ONNX Runtime.
struct Buffer {
  std::vector<float> memory;
  float* data = nullptr;
  std::size_t size = 0;
  void Resize(std::size_t n) {
    memory.resize(n + 16);
    size = n;
    data = memory.data() + (64 - reinterpret_cast<std::uintptr_t>(memory.data()) % 64) % 64 / 4;
  }
};

struct Made {
  std::unique_ptr<alcs::Conv> conv;
  std::shared_ptr<const alcs::ConvPlan> plan;
  Buffer x, y;
  std::vector<char> scratch;
  double macs = 0;  // on stored weights
};

Made Make(const Layer& layer, int64_t simd_group, double density, alcs::Isa isa) {
  alcs::ConvSpec spec;
  spec.in_channels = layer.in;
  spec.out_channels = layer.out;
  spec.group = layer.group;
  spec.simd_group = layer.group > 1 ? 1 : simd_group;
  spec.kernel[0] = spec.kernel[1] = layer.kernel;
  spec.strides[0] = spec.strides[1] = layer.stride;
  std::fill_n(spec.pads, 4, layer.kernel / 2);
  spec.activation.gate = layer.gate;
  if (layer.gate == alcs::Gate::kNone) spec.activation.low = 0;
  if (layer.group > 1 || layer.in == 3) density = 1;

  std::mt19937 random(1);
  std::vector<float> values, bias(static_cast<std::size_t>(layer.out), 0.1F);
  std::vector<int32_t> positions;
  const int64_t count =
      layer.out / spec.simd_group * (layer.in / layer.group) * layer.kernel * layer.kernel;
  for (int64_t p = 0; p < count; ++p) {
    if (static_cast<double>(random()) * 0x1p-32 >= density) continue;
    positions.push_back(static_cast<int32_t>(p));
    for (int64_t i = 0; i < spec.simd_group; ++i) {
      values.push_back(static_cast<float>(random()) * 0x1p-32F - 0.5F);
    }
  }
  Made made;
  alcs::Status status =
      alcs::Conv::Create(spec,
                         {values.data(), static_cast<int64_t>(values.size()), positions.data(),
                          static_cast<int64_t>(positions.size()), bias.data(), layer.out},
                         isa, &made.conv);
  if (status.ok()) status = made.conv->Plan(1, layer.size, layer.size, &made.plan);
  if (!status.ok()) {
    std::fprintf(stderr, "%s\n", status.message().c_str());
    std::exit(1);
  }
  made.x.Resize(static_cast<std::size_t>(layer.in * layer.size * layer.size));
  for (std::size_t i = 0; i < made.x.size; ++i) {
    made.x.data[i] = static_cast<float>(random()) * 0x1p-32F;
  }
  const int64_t pixels = made.plan->out_height * made.plan->out_width;
  made.y.Resize(static_cast<std::size_t>(layer.out * pixels));
  made.scratch.resize(made.plan->scratch_bytes);
  made.macs = static_cast<double>(values.size()) * static_cast<double>(pixels);
  return made;
}

void Run(Made& made) {
  made.conv->Run(*made.plan, made.x.data, nullptr, made.y.data, made.scratch.data(),
                 alcs::SerialFor());
}

// Register-only multiply-adds: multiply-adds done by one call.
#if defined(__x86_64__)
#define ALCS_PEAK(name, target_name, Reg, set1, fmadd, lanes)               \
  __attribute__((target(target_name), noinline)) double name(float* sink) { \
    Reg sum[12];                                                            \
    for (Reg& r : sum) r = set1(*sink);                                     \
    const Reg one = set1(1.0F), zero = set1(*sink);                         \
    for (int i = 0; i < 20000; ++i) {                                       \
      _Pragma("GCC unroll 12") for (Reg& r : sum) r = fmadd(r, one, zero);  \
    }                                                                       \
    for (int i = 1; i < 12; ++i) sum[0] = fmadd(sum[0], one, sum[i]);       \
    *sink = sum[0][0];                                                      \
    return 20000.0 * 12 * lanes;                                            \
  }
ALCS_PEAK(PeakAvx512, "avx512f", __m512, _mm512_set1_ps, _mm512_fmadd_ps, 16)
ALCS_PEAK(PeakAvx2, "avx2,fma", __m256, _mm256_set1_ps, _mm256_fmadd_ps, 8)
#elif defined(__aarch64__)
double PeakNeon(float* sink) {
  float32x4_t sum[24];
  for (float32x4_t& r : sum) r = vdupq_n_f32(*sink);
  const float32x4_t one = vdupq_n_f32(1.0F);
  for (int i = 0; i < 20000; ++i) {
    _Pragma("GCC unroll 24") for (float32x4_t& r : sum) r = vfmaq_f32(r, one, one);
  }
  for (float32x4_t& r : sum) *sink += vaddvq_f32(r) > 0 ? 0.0F : 1.0F;
  return 20000.0 * 24 * 4;
}
#endif

double MeasurePeak(alcs::Isa isa) {
  double (*burst)(float*) = nullptr;
#if defined(__x86_64__)
  if (isa == alcs::Isa::kAvx512) burst = PeakAvx512;
  if (isa == alcs::Isa::kAvx2) burst = PeakAvx2;
#elif defined(__aarch64__)
  if (isa == alcs::Isa::kNeon) burst = PeakNeon;
#endif
  if (burst == nullptr) return 1e9;  // shares are then GMAC/s in percent
  std::vector<double> rates;
  float sink = 0;
  const double start = Now();
  while (Now() - start < 0.5) {
    const double from = Now();
    const double macs = burst(&sink);
    rates.push_back(macs / (Now() - from));
  }
  // Not the very best: on a virtual machine the clock sometimes jumps.
  std::sort(rates.begin(), rates.end());
  return rates[rates.size() * 9 / 10];
}

double MedianSeconds(Made& made, double budget, std::vector<char>* cold) {
  std::vector<double> times;
  const double start = Now();
  volatile char sink = 0;
  while (times.size() < 5 || Now() - start < budget) {
    if (cold != nullptr) {
      for (std::size_t i = 0; i < cold->size(); i += 64) sink = (*cold)[i];
      // In a network the input has just been written by the layer before.
      for (std::size_t i = 0; i < made.x.size; i += 16) sink = made.x.data[i] > 0;
    }
    const double run = Now();
    Run(made);
    times.push_back(Now() - run);
  }
  (void)sink;
  std::nth_element(times.begin(), times.begin() + static_cast<int64_t>(times.size() / 2),
                   times.end());
  return times[times.size() / 2];
}

std::vector<double> ParseList(const char* text) {
  std::vector<double> values;
  for (const char* at = text; *at != '\0';) {
    char* end = nullptr;
    values.push_back(std::strtod(at, &end));
    at = *end == ',' ? end + 1 : end;
    if (end == at && *end != '\0') std::exit(2);
  }
  return values;
}

}  // namespace

int main(int argc, char** argv) {
  alcs::Isa isa = alcs::Isa::kScalar;
  alcs::Status status = alcs::SelectIsa(&isa);
  std::vector<double> simd_groups = {4, 8}, densities = {1, 0.3, 0.1};
  std::string net;
  double seconds = 0.1;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string flag = argv[i];
    if (flag == "--isa") status = alcs::ParseIsa(argv[i + 1], &isa);
    if (flag == "--net") net = argv[i + 1];
    if (flag == "--simd-group") simd_groups = ParseList(argv[i + 1]);
    if (flag == "--density") densities = ParseList(argv[i + 1]);
    if (flag == "--seconds") seconds = std::atof(argv[i + 1]);
  }
  if (!status.ok()) {
    std::fprintf(stderr, "%s\n", status.message().c_str());
    return 1;
  }
  const double peak = MeasurePeak(isa);
  std::printf("isa %s, peak %.1f GMAC/s\n", alcs::IsaName(isa), peak / 1e9);
  std::printf("%-10s %-28s %2s %5s %9s %6s %6s %9s %6s  %s\n", "net", "layer", "g", "kept",
              "warm us", "GMAC/s", "peak", "cold us", "peak", "kernel");
  std::vector<char> other(std::size_t{8} << 20, 1);
  for (const Layer& layer : kLayers) {
    if (std::string(layer.net).find(net) == std::string::npos) continue;
    const bool once = layer.group > 1 || layer.in == 3;
    for (const double g : simd_groups) {
      for (const double density : densities) {
        if (once && (g != simd_groups[0] || density != densities[0])) continue;
        Made made = Make(layer, static_cast<int64_t>(g), density, isa);
        for (int i = 0; i < 3; ++i) Run(made);
        const double warm = MedianSeconds(made, seconds, nullptr);
        const double cold = MedianSeconds(made, seconds, &other);
        char name[64];
        std::snprintf(name, sizeof(name), "%dx%d s%d %d->%d @%d%s", static_cast<int>(layer.kernel),
                      static_cast<int>(layer.kernel), static_cast<int>(layer.stride),
                      static_cast<int>(layer.in), static_cast<int>(layer.out),
                      static_cast<int>(layer.size), layer.group > 1 ? " dw" : "");
        std::printf("%-10s %-28s %2.0f %5.2f %9.1f %6.1f %5.0f%% %9.1f %5.0f%%  %s\n", layer.net,
                    name, g, density, warm * 1e6, made.macs / warm / 1e9,
                    100 * made.macs / warm / peak, cold * 1e6, 100 * made.macs / cold / peak,
                    made.conv->kernel_name(*made.plan));
        std::fflush(stdout);
      }
    }
  }
  return 0;
}
