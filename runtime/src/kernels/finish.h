// From sums to outputs: an overload for each kind of sums, for register tiles and for windows.
//
// In tiles, `plane_of(channel_0, plane)` is where a tile's pixels begin in a plane, `load(from, s)`
// loads vector s of a residual from there, and `store(to, s, v)` stores it; s is a constant
// (unroll.h). Addresses are worked out once for a plane: any store might change what they are made
// of. In windows, `added(row)` loads a residual, and stores are in order.
#ifndef ALCS_SRC_KERNELS_FINISH_H_
#define ALCS_SRC_KERNELS_FINISH_H_

#include "kernels/kernel_api.h"
#include "kernels/macros.h"
#include "kernels/unroll.h"

namespace alcs {
namespace kernels {
namespace {

// Floats: clip(max(v, slope * v), low, high) with the residual added first. Walks the sums in whole
// passes, so that none leaves its register.
template <class V, int G, int kWidth, int S, class PlaneOf, class Load, class Store>
ALCS_INLINE void Finish(const TileArgs<Float32>& a, typename V::Sum (&acc)[G][kWidth], Int<S>,
                        PlaneOf plane_of, Load load, Store store) {
  using Reg = typename V::Reg;
  const auto for_each = [&](auto f) ALCS_INLINE_LAMBDA {
    Unroll<0, G>([&](auto g) ALCS_INLINE_LAMBDA {
      Unroll<0, S>([&](auto s) ALCS_INLINE_LAMBDA { acc[g][s] = f(acc[g][s]); });
    });
  };
  if (a.residual != nullptr) {
    Unroll<0, G>([&](auto g) ALCS_INLINE_LAMBDA {
      const auto* from = plane_of(a.residual, g);
      Unroll<0, S>([&](auto s)
                       ALCS_INLINE_LAMBDA { acc[g][s] = V::Add(acc[g][s], load(from, s)); });
    });
  }
  if (a.epilogue.has_slope) {
    const Reg slope = V::Set1(a.epilogue.slope);
    for_each([&](Reg v) ALCS_INLINE_LAMBDA { return V::Max(v, V::Mul(v, slope)); });
  }
  const Reg low = V::Set1(a.epilogue.low);
  for_each([&](Reg v) ALCS_INLINE_LAMBDA { return V::Max(v, low); });
  if (a.epilogue.has_high) {
    const Reg high = V::Set1(a.epilogue.high);
    for_each([&](Reg v) ALCS_INLINE_LAMBDA { return V::Min(v, high); });
  }
  Unroll<0, G>([&](auto g) ALCS_INLINE_LAMBDA {
    auto* const to = plane_of(a.output, g);
    Unroll<0, S>([&](auto s) ALCS_INLINE_LAMBDA { store(to, s, acc[g][s]); });
  });
}

// Integers: requantized as alcs/quantized_conv.h says, four rows to a word. Products and sums are
// rounded one by one: a fused multiply-add would round otherwise than the definition.
template <class V, int G, int kWidth, int S, class PlaneOf, class Load, class Store>
ALCS_INLINE void Finish(const TileArgs<Uint8>& a, typename V::Sum (&acc)[G][kWidth], Int<S>,
                        PlaneOf plane_of, Load load, Store store) {
  using Reg = typename V::Reg;
  using Floats = typename V::Floats;
  const Uint8::Epilogue& e = a.epilogue;
  const Floats low = V::Set1(e.low), high = V::Set1(e.high);
  const Reg zero = V::Set1(e.y_zero);
  Unroll<0, G / 4>([&](auto plane) ALCS_INLINE_LAMBDA {
    // All of a plane's before the first is stored: vectors may overlap, and y be the residual.
    Reg residual[S];
    if (a.residual != nullptr) {
      const auto* from = plane_of(a.residual, plane);
      Unroll<0, S>([&](auto s) ALCS_INLINE_LAMBDA { residual[s] = load(from, s); });
    } else {
      Unroll<0, S>([&](auto s) ALCS_INLINE_LAMBDA { residual[s] = zero; });
    }
    auto* const to = plane_of(a.output, plane);
    Unroll<0, S>([&](auto s) ALCS_INLINE_LAMBDA {
      Reg word = zero;
      Unroll<0, 4>([&](auto channel) ALCS_INLINE_LAMBDA {
        constexpr int kRow = 4 * plane + channel;
        Floats v = V::Mul(V::ToFloats(V::Total(acc[kRow][s])), V::Set1(a.bias[kRow].scale));
        if (a.residual != nullptr) {
          const Reg r = V::Sub(V::template Byte<channel>(residual[s]), V::Set1(e.residual_zero));
          v = V::Add(v, V::Mul(V::ToFloats(r), V::Set1(e.residual_scale)));
        }
        if (e.has_slope) v = V::Max(v, V::Mul(v, V::Set1(e.slope)));
        const Reg y = V::Add(V::Round(V::Min(V::Max(v, low), high)), zero);
        word = channel == 0 ? y : V::template WithByte<channel>(word, y);
      });
      store(to, s, word);
    });
  });
}

// One vector of each of R output rows.
template <class V, int R, class Added, class Store>
ALCS_INLINE void FinishWindow(const WindowArgs<Float32>& a, int64_t,
                              typename V::WindowSum (&acc)[R], bool residual, Added added,
                              Store store) {
  using Reg = typename V::Reg;
  const auto for_each = [&](auto f) ALCS_INLINE_LAMBDA {
    Unroll<0, R>([&](auto r) ALCS_INLINE_LAMBDA { acc[r] = f(r, acc[r]); });
  };
  if (residual) for_each([&](auto r, Reg v) ALCS_INLINE_LAMBDA { return V::Add(v, added(r)); });
  if (a.epilogue.has_slope) {
    const Reg slope = V::Set1(a.epilogue.slope);
    for_each([&](auto, Reg v) ALCS_INLINE_LAMBDA { return V::Max(v, V::Mul(v, slope)); });
  }
  if (a.epilogue.has_high) {
    const Reg high = V::Set1(a.epilogue.high);
    for_each([&](auto, Reg v) ALCS_INLINE_LAMBDA { return V::Min(v, high); });
  }
  const Reg low = V::Set1(a.epilogue.low);
  Unroll<0, R>([&](auto r) ALCS_INLINE_LAMBDA { store(V::Max(acc[r], low)); });
}

// The four channels of plane `word`, part by part (vec_scalar_u8.h).
template <class V, int R, class Added, class Store>
ALCS_INLINE void FinishWindow(const WindowArgs<Uint8>& a, int64_t word,
                              typename V::WindowSum (&acc)[R], bool residual, Added added,
                              Store store) {
  using Reg = typename V::Reg;
  using Floats = typename V::Floats;
  const Uint8::Epilogue& e = a.epilogue;
  const Floats scales = V::WindowScales(a.bias + word * Uint8::kChannels);
  const Floats low = V::Set1(e.low), high = V::Set1(e.high);
  const Reg zero = V::Set1(e.y_zero);
  Unroll<0, R>([&](auto r) ALCS_INLINE_LAMBDA {
    Reg before = zero;
    if (residual) before = added(r);
    Reg y[V::kParts];
    Unroll<0, V::kParts>([&](auto part) ALCS_INLINE_LAMBDA {
      Floats v = V::Mul(V::ToFloats(acc[r].part[part]), scales);
      if (residual) {
        const Reg s = V::Sub(V::template PartOf<part>(before), V::Set1(e.residual_zero));
        v = V::Add(v, V::Mul(V::ToFloats(s), V::Set1(e.residual_scale)));
      }
      if (e.has_slope) v = V::Max(v, V::Mul(v, V::Set1(e.slope)));
      y[part] = V::Add(V::Round(V::Min(V::Max(v, low), high)), zero);
    });
    store(V::JoinParts(y));
  });
}

}  // namespace
}  // namespace kernels
}  // namespace alcs

#endif  // ALCS_SRC_KERNELS_FINISH_H_
