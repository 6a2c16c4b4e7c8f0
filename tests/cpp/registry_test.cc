#include "alcs/conv.h"
#include "conv_case.h"
#include "harness.h"

namespace alcs {
namespace test {
namespace {

// The last test: no row of the instruction set may have been left out by the others.
TEST(EveryRowRan) {
  for (const KernelUse& use : KernelUses()) {
    if (use.isa == IsaUnderTest()) EXPECT(use.runs > 0, use.name << " never ran");
  }
}

}  // namespace
}  // namespace test
}  // namespace alcs
