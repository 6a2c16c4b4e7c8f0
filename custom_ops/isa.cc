// What programs that record or compare timings ask the library, before any session exists.

#include "alcs/cpu.h"

// The name of the instruction set whose kernels this process runs: ALCS_FORCE_ISA, or else the best
// that this CPU has. Null where ALCS_FORCE_ISA names none that is supported here: sessions are then
// refused, with the reason. The text belongs to the library.
extern "C" __attribute__((visibility("default"))) const char* alcs_isa() noexcept {
  try {
    alcs::Isa isa = alcs::Isa::kReference;
    return alcs::SelectIsa(&isa).ok() ? alcs::IsaName(isa) : nullptr;
  } catch (...) {  // no memory for the text of a failure
    return nullptr;
  }
}
