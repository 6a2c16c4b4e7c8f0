// The bodies of the gates (alcs/gates.h), over any vector type of float (see vec_scalar.h).
//
// Applied in place to outputs that a tile has just stored: in the first-level cache they are
// quickly read again, and the register tiles stay as many as they are.
#ifndef ALCS_SRC_KERNELS_GATE_H_
#define ALCS_SRC_KERNELS_GATE_H_

#include "kernels/kernel_api.h"
#include "kernels/macros.h"

namespace alcs {
namespace kernels {
namespace {

// v * clip(v / 6 + 0.5, 0, 1)
template <class V>
struct hard_swish {
  using Reg = typename V::Reg;

  static ALCS_INLINE Reg Apply(Reg v) {
    const Reg ramp = V::Fma(v, V::Set1(1.0F / 6.0F), V::Set1(0.5F));
    return V::Mul(v, V::Min(V::Max(ramp, V::Set1(0.0F)), V::Set1(1.0F)));
  }
};

// v / (1 + exp(-v)), within 3 units in the last place.
template <class V>
struct silu {
  using Reg = typename V::Reg;

  // exp(-v) = 2^n * exp(-r) with n whole and |r| <= ln(2) / 2, and exp(-r) = 1 - r + r^2 * q(r)
  // where q has the smallest relative error (1.1e-7) that its degree allows.
  static ALCS_INLINE Reg Apply(Reg v) {
    // Below, exp(-v) is infinite and v / infinity is zero; above, 1 + exp(-v) is 1.
    const Reg x = V::Min(V::Max(v, V::Set1(-89.0F)), V::Set1(40.0F));
    const Reg minus_log2_e = V::Set1(-1.44269504F), one = V::Set1(1.0F);
    if constexpr (V::kScale) {
      const Reg n = V::Round(V::Mul(x, minus_log2_e));
      const Reg power = Power(V::Fma(n, V::Set1(0.693147181F), x));
      return V::Div(v, V::Add(V::Scale(power, n), one));
    } else {
      // Adding 1.5 * 2^23 rounds to whole numbers and leaves n in the low bits, here as the
      // exponent n - 2 with its bias of 127: n itself may be too large for one.
      const Reg round = V::Set1(12582912.0F + 125.0F);
      const Reg rounded = V::Fma(x, minus_log2_e, round);
      const Reg n = V::Sub(rounded, round);
      // ln(2) in two parts, the first of so few bits that its product with n is exact.
      const Reg r = V::Fma(n, V::Set1(-2.12194440e-4F), V::Fma(n, V::Set1(0.693359375F), x));
      const Reg quarter = V::Mul(Power(r), V::LowBitsToExponent(rounded));
      return V::Div(v, V::Fma(quarter, V::Set1(4.0F), one));
    }
  }

  // exp(-r)
  static ALCS_INLINE Reg Power(Reg r) {
    Reg q = V::Set1(-0.0083124669F);
    q = V::Fma(q, r, V::Set1(0.0418906513F));
    q = V::Fma(q, r, V::Set1(-0.166671167F));
    q = V::Fma(q, r, V::Set1(0.499992281F));
    return V::Fma(V::Mul(r, r), q, V::Sub(V::Set1(1.0F), r));
  }
};

template <class V, class Function>
struct GateBody {
  using T = typename V::T;
  static_assert(sizeof(T) == 4, "the constants and the exponent are those of float");
  static constexpr int N = V::N;

  static ALCS_NOINLINE void Run(const GateArgs<typename V::P>& a) {
    const int64_t whole = a.pixels - a.pixels % N;
    const auto tail = V::MakeTail(static_cast<int>(a.pixels - whole));
    for (int64_t i = 0; i < a.rows; ++i) {
      T* const row = a.output + a.row_at[i];
      for (int64_t at = 0; at < whole; at += N) {
        V::Store(row + at, Function::Apply(V::Load(row + at)));
      }
      if (whole == a.pixels) continue;
      V::StoreTail(row + whole, Function::Apply(V::LoadTail(row + whole, tail)), tail);
    }
  }
};

}  // namespace
}  // namespace kernels
}  // namespace alcs

#endif  // ALCS_SRC_KERNELS_GATE_H_
