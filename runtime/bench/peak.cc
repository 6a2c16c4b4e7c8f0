#include "peak.h"

#include <time.h>

#include <algorithm>
#include <vector>

#include "bursts.h"

namespace alcs {
namespace bench {
namespace {

// Null for a name that is none of this build's.
Burst BurstOf(std::string_view isa, Element element) {
#define ALCS_ISA_HERE(name, ...) \
  if (isa == #name) return element == Element::kUint8 ? DotBurst_##name : FmaBurst_##name;
#include "alcs/isas.inc"
  return nullptr;
}

}  // namespace

double ThreadSeconds() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

double MeasurePeak(std::string_view isa, Element element, double seconds) {
  const Burst burst = BurstOf(isa, element);
  if (burst == nullptr) return 0;
  std::vector<double> rates;
  float sink = 0;
  const double start = ThreadSeconds();
  while (rates.size() < 10 || ThreadSeconds() - start < seconds) {
    const double from = ThreadSeconds();
    const double macs = burst(&sink);
    if (macs == 0) return 0;
    rates.push_back(macs / (ThreadSeconds() - from));
  }
  // Not the very best: on a virtual machine the clock sometimes jumps.
  std::sort(rates.begin(), rates.end());
  return rates[rates.size() * 9 / 10];
}

}  // namespace bench
}  // namespace alcs
