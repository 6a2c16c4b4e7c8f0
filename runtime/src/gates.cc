#include "alcs/gates.h"

#include <algorithm>
#include <cmath>

namespace alcs {
namespace {

constexpr GateInfo kInfo[kGates] = {
    {Gate::kNone, "none", [](double v) { return v; }, 1, [](double, double) { return 0.0; }},
#define ALCS_GATE_INFO(arg, number, name, body, reference, steepest, error)   \
  {Gate::name, #body, [](double v) -> double { return reference; }, steepest, \
   []([[maybe_unused]] double v, [[maybe_unused]] double y) -> double { return error; }},
    ALCS_GATES(ALCS_GATE_INFO, )
#undef ALCS_GATE_INFO
};

}  // namespace

const GateInfo& InfoOf(Gate gate) { return kInfo[static_cast<int>(gate)]; }

}  // namespace alcs
