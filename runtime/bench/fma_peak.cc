// Prints the multiply-add peak of this machine in GMAC/s, of floats and of bytes, for benchmarks
// that are no C++ programs.
//
//   fma_peak ISA [SECONDS [THREADS]]      ISA: a name of alcs/isas.inc
//
// With several threads all run at once and their rates are added up.
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "peak.h"

namespace {

using alcs::bench::Element;

double OfAll(const char* isa, Element element, double seconds, int count) {
  std::vector<double> rates(static_cast<std::size_t>(count));
  std::vector<std::thread> threads;
  for (double& rate : rates) {
    threads.emplace_back(
        [&rate, element, seconds, isa] { rate = alcs::bench::MeasurePeak(isa, element, seconds); });
  }
  for (std::thread& thread : threads) thread.join();
  double total = 0;
  for (const double rate : rates) total += rate;
  return total / 1e9;
}

}  // namespace

int main(int argc, char** argv) {
  const double seconds = argc > 2 ? std::atof(argv[2]) : 0.5;
  const int count = argc > 3 ? std::atoi(argv[3]) : 1;
  if (argc < 2 || argc > 4 || seconds <= 0 || count < 1 ||
      alcs::bench::MeasurePeak(argv[1], Element::kFloat32, 0) == 0) {
    std::fputs(
        "usage: fma_peak ISA [SECONDS [THREADS]], where ISA is one of"
#define ALCS_ISA_HERE(name, ...) " " #name
#include "alcs/isas.inc"
        "\n",
        stderr);
    return 2;
  }
  std::printf("%.2f %.2f\n", OfAll(argv[1], Element::kFloat32, seconds, count),
              OfAll(argv[1], Element::kUint8, seconds, count));
  return 0;
}
