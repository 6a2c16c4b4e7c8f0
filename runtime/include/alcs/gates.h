// The gates: products of v and a rising function of it that a convolution does at its store.
#ifndef ALCS_GATES_H_
#define ALCS_GATES_H_

namespace alcs {

// THE list of gates. A row declares one, takes it for valid in the operator's attribute `gate`,
// computes it in the reference, makes a kernel of it for every instruction set, and has it tested.
//
//   ROW(arg, number, name, body, reference, steepest, error)
//
//   number     the attribute's value, from 1 without gaps: it stands in files, so it stays
//   name       of the enumerator
//   body       the struct of kernels/gate.h that computes it; also its name in reports
//   reference  its value y at a double v
//   steepest   for the tests: the largest |dy/dv|, rounded up
//   error      for the tests: how far a kernel may be off at v, in float's epsilon, 4 * |v| at most
//
// `arg` is handed to every row. HardSwish is off by the rounding of v / 6 + 0.5 where that is near
// 1, whatever becomes of it; Silu may underflow below 1e-36.
#define ALCS_GATES(ROW, arg)                                                              \
  ROW(arg, 1, kHardSwish, hard_swish, std::min(std::max(v / 6 + 0.5, 0.0), 1.0) * v, 1.5, \
      std::fabs(v) < 4 ? std::fabs(v) : std::fabs(y))                                     \
  ROW(arg, 2, kSilu, silu, v / (1 + std::exp(-v)), 1.1, 3 * std::fabs(y) + 1.6e-29)

enum class Gate {
  kNone,
#define ALCS_GATE_ENUMERATOR(arg, number, name, ...) name = number,
  ALCS_GATES(ALCS_GATE_ENUMERATOR, )
#undef ALCS_GATE_ENUMERATOR
};

#define ALCS_GATE_ONE(...) +1
constexpr int kGates = 1 ALCS_GATES(ALCS_GATE_ONE, );  // none included
#undef ALCS_GATE_ONE

// What the engine needs of a row.
struct GateInfo {
  const char* name;
  double (*reference)(double v);
};

// The row of a gate; for none, that of v itself.
const GateInfo& InfoOf(Gate gate);

}  // namespace alcs

#endif  // ALCS_GATES_H_
