// 4 floats in the compiler's portable vector extension, for machines without kernels of their own.
// Also the description of what the kernels ask of a vector type.
#ifndef ALCS_SRC_KERNELS_VEC_SCALAR_H_
#define ALCS_SRC_KERNELS_VEC_SCALAR_H_

#include <cstdint>

#include "kernels/float_sums.h"
#include "kernels/kernel_api.h"
#include "kernels/macros.h"

namespace alcs {
namespace kernels {
namespace {

struct ScalarRegisters {
  typedef float Reg __attribute__((vector_size(16)));
};

struct ScalarF32 : FloatSums<ScalarF32, ScalarRegisters> {
  using P = Float32;                          // what is computed with
  using T = float;                            // a word of it
  static constexpr int N = 4;                 // lanes
  static constexpr int kRegisters = 16;       // of the machine
  static constexpr bool kMasks = false;       // LoadTail reads only the lanes it is asked for
  static constexpr bool kCompress = false;    // has Compress and Expand
  static constexpr bool kQuad = false;        // has the 4 pixels x 4 channels form
  static constexpr bool kFreeEdges = false;   // LoadEdge costs no more than Load
  static constexpr bool kOneAddress = false;  // no address has an index and a constant in it
  static constexpr bool kScale = false;       // has Round and Scale, else LowBitsToExponent
  using Narrow = ScalarF32;  // a type with fewer lanes for narrow images, or the type itself

  static ALCS_INLINE Reg Set1(T x) { return Reg{x, x, x, x}; }
  static ALCS_INLINE Reg Load(const T* p) {
    Reg v;
    __builtin_memcpy(&v, p, sizeof(v));
    return v;
  }
  static ALCS_INLINE void Store(T* p, Reg v) { __builtin_memcpy(p, &v, sizeof(v)); }
  static ALCS_INLINE Reg Add(Reg a, Reg b) { return a + b; }
  static ALCS_INLINE Reg Sub(Reg a, Reg b) { return a - b; }
  static ALCS_INLINE Reg Mul(Reg a, Reg b) { return a * b; }
  static ALCS_INLINE Reg Div(Reg a, Reg b) { return a / b; }
  // A NaN in v stays.
  static ALCS_INLINE Reg Max(Reg v, Reg bound) { return v < bound ? bound : v; }
  // A NaN in b is passed over.
  static ALCS_INLINE Reg Larger(Reg a, Reg b) { return a < b ? b : a; }
  static ALCS_INLINE Reg Min(Reg v, Reg bound) { return v > bound ? bound : v; }
  static ALCS_INLINE Reg Fma(Reg a, Reg b, Reg sum) { return a * b + sum; }

  // The lowest 8 bits of each float become its exponent, and all else zero.
  static ALCS_INLINE Reg LowBitsToExponent(Reg v) {
    typedef uint32_t Bits __attribute__((vector_size(sizeof(Reg))));
    Bits bits;
    __builtin_memcpy(&bits, &v, sizeof(v));
    bits <<= 23;
    __builtin_memcpy(&v, &bits, sizeof(v));
    return v;
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
    Reg v = {};
    for (int i = 0; i < N; ++i) {
      if (i < lanes) v[i] = p[i];
    }
    return v;
  }
  static ALCS_INLINE void StoreTail(T* p, Reg v, Tail lanes) {
    for (int i = 0; i < N; ++i) {
      if (i < lanes) p[i] = v[i];
    }
  }

  // Lanes start, start + 1, ... of a row of `width` elements, zero where there is no such element.
  struct Edge {
    int64_t start, width;
  };
  static ALCS_INLINE Edge MakeEdge(int64_t start, int64_t width) { return {start, width}; }
  static ALCS_INLINE Reg LoadEdge(const T* row, const Edge& edge) {
    Reg v = {};
    for (int i = 0; i < N; ++i) {
      const int64_t x = edge.start + i;
      if (x >= 0 && x < edge.width) v[i] = row[x];
    }
    return v;
  }

  // The even and the odd elements of two vectors in a row.
  static ALCS_INLINE Reg Even(Reg a, Reg b) { return Reg{a[0], a[2], b[0], b[2]}; }
  static ALCS_INLINE Reg Odd(Reg a, Reg b) { return Reg{a[1], a[3], b[1], b[3]}; }
  // Lanes 1, 2, ... and *next.
  static ALCS_INLINE Reg ShiftIn(Reg v, const T* next) { return Reg{v[1], v[2], v[3], *next}; }
};

}  // namespace
}  // namespace kernels
}  // namespace alcs

#endif  // ALCS_SRC_KERNELS_VEC_SCALAR_H_
