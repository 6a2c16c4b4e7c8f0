// The peak rate of this machine's multiply-add units: what every other figure is a share of.
#ifndef ALCS_BENCH_PEAK_H_
#define ALCS_BENCH_PEAK_H_

#include <string_view>

namespace alcs {
namespace bench {

// Processor time of this thread in seconds, so that neighbours on a shared machine disturb less.
double ThreadSeconds();

// What is multiplied: floats, or unsigned bytes by signed ones.
enum class Element { kFloat32, kUint8 };

// Multiply-adds per second of this thread with everything in registers, in the vectors of the
// instruction set (an IsaName), measured for about `seconds`. 0 for a name without kernels here.
double MeasurePeak(std::string_view isa, Element element, double seconds);

}  // namespace bench
}  // namespace alcs

#endif  // ALCS_BENCH_PEAK_H_
