// 4 elements of any type in plain C++, for machines without kernels of their own; compilers turn
// most of it into whatever vector instructions the baseline has. Also the description of what the
// kernels ask of a vector type.
#ifndef ALCS_SRC_KERNELS_VEC_SCALAR_H_
#define ALCS_SRC_KERNELS_VEC_SCALAR_H_

#include <cstdint>

#include "kernels/kernel_api.h"
#include "kernels/macros.h"

namespace alcs {
namespace kernels {
namespace {

template <class Element>
struct ScalarVec {
  using T = Element;
  static constexpr int N = 4;                // lanes
  static constexpr bool kMasks = false;      // LoadTail reads only the lanes it is asked for
  static constexpr bool kCompress = false;   // has Compress and Expand
  static constexpr bool kQuad = false;       // has the 4 pixels x 4 channels form
  static constexpr bool kFreeEdges = false;  // LoadEdge costs no more than Load

  struct Reg {
    T lane[N];
  };
  using Narrow = ScalarVec;  // a type with fewer lanes for narrow images, or the type itself

  template <class F>
  static ALCS_INLINE Reg Each(F f) {
    Reg v;
    for (int i = 0; i < N; ++i) v.lane[i] = f(i);
    return v;
  }

  static ALCS_INLINE Reg Set1(T x) {
    return Each([&](int) { return x; });
  }
  static ALCS_INLINE Reg Load(const T* p) {
    return Each([&](int i) { return p[i]; });
  }
  static ALCS_INLINE void Store(T* p, const Reg& v) {
    for (int i = 0; i < N; ++i) p[i] = v.lane[i];
  }
  static ALCS_INLINE Reg Add(const Reg& a, const Reg& b) {
    return Each([&](int i) { return a.lane[i] + b.lane[i]; });
  }
  static ALCS_INLINE Reg Mul(const Reg& a, const Reg& b) {
    return Each([&](int i) { return a.lane[i] * b.lane[i]; });
  }
  // A NaN in v stays.
  static ALCS_INLINE Reg Max(const Reg& v, const Reg& bound) {
    return Each([&](int i) { return v.lane[i] < bound.lane[i] ? bound.lane[i] : v.lane[i]; });
  }
  static ALCS_INLINE Reg Min(const Reg& v, const Reg& bound) {
    return Each([&](int i) { return v.lane[i] > bound.lane[i] ? bound.lane[i] : v.lane[i]; });
  }
  static ALCS_INLINE Reg Fma(const Reg& a, const Reg& b, const Reg& sum) {
    return Each([&](int i) { return a.lane[i] * b.lane[i] + sum.lane[i]; });
  }

  // The G weights of a column; Get<row>() is the first argument of Fma.
  template <int G>
  struct Weights {
    const T* w;
    explicit ALCS_INLINE Weights(const T* p) : w(p) {}
    template <int kRow>
    ALCS_INLINE Reg Get() const {
      return Set1(w[kRow]);
    }
  };

  // The first `lanes` lanes.
  using Tail = int;
  static ALCS_INLINE Tail MakeTail(int lanes) { return lanes; }
  static ALCS_INLINE Reg LoadTail(const T* p, Tail lanes) {
    return Each([&](int i) { return i < lanes ? p[i] : T(0); });
  }
  static ALCS_INLINE void StoreTail(T* p, const Reg& v, Tail lanes) {
    for (int i = 0; i < N && i < lanes; ++i) p[i] = v.lane[i];
  }

  // Lanes start, start + 1, ... of a row of `width` elements, zero where there is no such element.
  struct Edge {
    int64_t start, width;
  };
  static ALCS_INLINE Edge MakeEdge(int64_t start, int64_t width) { return {start, width}; }
  static ALCS_INLINE Reg LoadEdge(const T* row, const Edge& edge) {
    return Each([&](int i) {
      const int64_t x = edge.start + i;
      return x >= 0 && x < edge.width ? row[x] : T(0);
    });
  }

  // The even and the odd elements of two vectors in a row.
  static ALCS_INLINE Reg Even(const Reg& a, const Reg& b) {
    return Each([&](int i) { return i < N / 2 ? a.lane[2 * i] : b.lane[2 * i - N]; });
  }
  static ALCS_INLINE Reg Odd(const Reg& a, const Reg& b) {
    return Each([&](int i) { return i < N / 2 ? a.lane[2 * i + 1] : b.lane[2 * i + 1 - N]; });
  }
  // Lanes 1, 2, ... and *next.
  static ALCS_INLINE Reg ShiftIn(const Reg& v, const T* next) {
    return Each([&](int i) { return i + 1 < N ? v.lane[i + 1] : *next; });
  }
};

}  // namespace
}  // namespace kernels
}  // namespace alcs

#endif  // ALCS_SRC_KERNELS_VEC_SCALAR_H_
