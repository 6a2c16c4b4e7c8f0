#include "registry.h"

#include "alcs/conv.h"
#include "conv_case.h"
#include "harness.h"

namespace alcs {
namespace test {
namespace {

// What the table says of vectors is true of the kernels.
TEST(LanesOfTheTable) {
#define ALCS_ISA(set, id, architecture, kernels, flags, count, ...) \
  if (IsaUnderTest() == Isa::id) {                                  \
    for (const auto& row : KernelsOf<Float32>(Isa::id).tile) {      \
      EXPECT(row.kernel->shape.lanes == (count), row.kernel->name); \
    }                                                               \
  }
#include "alcs/isas.inc"
}

// The last test: no row of the instruction set may have been left out by the others.
TEST(EveryRowRan) {
  for (const KernelUse& use : KernelUses()) {
    if (use.isa == IsaUnderTest()) EXPECT(use.runs > 0, use.name << " never ran");
  }
}

}  // namespace
}  // namespace test
}  // namespace alcs
