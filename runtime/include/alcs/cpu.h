// Which instruction sets this build holds kernels for, and which of them this CPU can run.
#ifndef ALCS_CPU_H_
#define ALCS_CPU_H_

#include <string_view>
#include <vector>

#include "alcs/status.h"

namespace alcs {

// The rows of isas.inc, and one more.
enum class Isa {
  kReference,  // plain loops with double accumulation: slow, the yardstick of the tests
#define ALCS_ISA(name, id, ...) id,
#include "alcs/isas.inc"
};

// The name in the table, or "reference".
const char* IsaName(Isa isa);

// Everything that is both compiled in and supported by this CPU and its operating system,
// slowest first. Always holds kReference and kScalar.
const std::vector<Isa>& SupportedIsas();

// The fastest supported one (cpuid and xgetbv on x86, the hardware capabilities on Arm).
Isa DetectIsa();

// The supported instruction set of that name; an error lists the names that would be accepted.
Status ParseIsa(std::string_view name, Isa* isa);

// What a Conv should be created with: the environment variable ALCS_FORCE_ISA when set and not
// empty, else DetectIsa(). An unknown or unsupported name is an error, never ignored.
Status SelectIsa(Isa* isa);

}  // namespace alcs

#endif  // ALCS_CPU_H_
