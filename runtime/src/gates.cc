#include "alcs/gates.h"

#include <algorithm>
#include <cmath>

namespace alcs {
namespace {

constexpr GateInfo kInfo[kGates] = {{"none", [](double v) { return v; }},
#define ALCS_GATE_INFO(arg, number, name, body, reference, ...) \
  {#body, [](double v) -> double { return reference; }},
                                    ALCS_GATES(ALCS_GATE_INFO, )
#undef ALCS_GATE_INFO
};

}  // namespace

const GateInfo& InfoOf(Gate gate) { return kInfo[static_cast<int>(gate)]; }

}  // namespace alcs
