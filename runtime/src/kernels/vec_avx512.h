// 16 floats. The members every vector type has are described in vec_scalar.h.
#ifndef ALCS_SRC_KERNELS_VEC_AVX512_H_
#define ALCS_SRC_KERNELS_VEC_AVX512_H_

#include <immintrin.h>

#include <cstdint>

#include "kernels/float_sums.h"
#include "kernels/kernel_api.h"
#include "kernels/macros.h"

namespace alcs {
namespace kernels {
namespace {

// 8 floats with masks, for rows that would leave half of 16 lanes idle.
struct HalfRegisters {
  using Reg = __m256;
};

struct Avx512HalfF32 : FloatSums<Avx512HalfF32, HalfRegisters> {
  using T = float;
  using Narrow = Avx512HalfF32;
  static constexpr int N = 8;
  static constexpr bool kFreeEdges = true;

  static ALCS_INLINE Reg Set1(T x) { return _mm256_set1_ps(x); }
  static ALCS_INLINE Reg Load(const T* p) { return _mm256_loadu_ps(p); }
  static ALCS_INLINE Reg Add(Reg a, Reg b) { return _mm256_add_ps(a, b); }
  static ALCS_INLINE Reg Mul(Reg a, Reg b) { return _mm256_mul_ps(a, b); }
  static ALCS_INLINE Reg Max(Reg v, Reg bound) { return _mm256_max_ps(bound, v); }
  static ALCS_INLINE Reg Larger(Reg a, Reg b) { return _mm256_max_ps(b, a); }
  static ALCS_INLINE Reg Min(Reg v, Reg bound) { return _mm256_min_ps(bound, v); }
  static ALCS_INLINE Reg Fma(Reg a, Reg b, Reg sum) { return _mm256_fmadd_ps(a, b, sum); }

  using Tail = __mmask8;
  static ALCS_INLINE Tail MakeTail(int lanes) {
    return static_cast<Tail>((1U << static_cast<unsigned>(lanes)) - 1U);
  }
  static ALCS_INLINE Reg LoadTail(const T* p, Tail tail) { return _mm256_maskz_loadu_ps(tail, p); }
  static ALCS_INLINE void StoreTail(T* p, Reg v, Tail tail) { _mm256_mask_storeu_ps(p, tail, v); }

  struct Edge {
    int64_t start;
    __mmask8 mask;
  };
  static ALCS_INLINE Edge MakeEdge(int64_t start, int64_t width) {
    const int64_t low = start < 0 ? -start : 0;
    const int64_t high = width - start < N ? width - start : N;
    if (low >= high) return {0, 0};
    return {start, static_cast<__mmask8>((1U << static_cast<unsigned>(high)) -
                                         (1U << static_cast<unsigned>(low)))};
  }
  static ALCS_INLINE Reg LoadEdge(const T* row, Edge edge) {
    return _mm256_maskz_loadu_ps(edge.mask, row + edge.start);
  }

  static ALCS_INLINE Reg Even(Reg a, Reg b) {
    return _mm256_permutex2var_ps(a, _mm256_set_epi32(14, 12, 10, 8, 6, 4, 2, 0), b);
  }
  static ALCS_INLINE Reg Odd(Reg a, Reg b) {
    return _mm256_permutex2var_ps(a, _mm256_set_epi32(15, 13, 11, 9, 7, 5, 3, 1), b);
  }
  static ALCS_INLINE Reg ShiftIn(Reg v, const T* next) {
    const __m256i last = _mm256_castps_si256(_mm256_broadcast_ss(next));
    return _mm256_castsi256_ps(_mm256_alignr_epi32(last, _mm256_castps_si256(v), 1));
  }
};

struct WholeRegisters {
  using Reg = __m512;
};

struct Avx512F32 : FloatSums<Avx512F32, WholeRegisters> {
  using T = float;
  using Narrow = Avx512HalfF32;
  static constexpr int N = 16;
  static constexpr int kRegisters = 32;
  static constexpr bool kMasks = true;
  static constexpr bool kCompress = true;
  static constexpr bool kQuad = true;
  static constexpr bool kFreeEdges = true;
  static constexpr bool kOneAddress = false;
  static constexpr bool kScale = true;

  static ALCS_INLINE Reg Set1(T x) { return _mm512_set1_ps(x); }
  static ALCS_INLINE Reg Load(const T* p) { return _mm512_loadu_ps(p); }
  static ALCS_INLINE void Store(T* p, Reg v) { _mm512_storeu_ps(p, v); }
  static ALCS_INLINE Reg Add(Reg a, Reg b) { return _mm512_add_ps(a, b); }
  static ALCS_INLINE Reg Sub(Reg a, Reg b) { return _mm512_sub_ps(a, b); }
  static ALCS_INLINE Reg Mul(Reg a, Reg b) { return _mm512_mul_ps(a, b); }
  static ALCS_INLINE Reg Div(Reg a, Reg b) { return _mm512_div_ps(a, b); }
  // The second operand of max and min is what a NaN is compared as: it stays.
  static ALCS_INLINE Reg Max(Reg v, Reg bound) { return _mm512_max_ps(bound, v); }
  static ALCS_INLINE Reg Larger(Reg a, Reg b) { return _mm512_max_ps(b, a); }
  static ALCS_INLINE Reg Min(Reg v, Reg bound) { return _mm512_min_ps(bound, v); }
  static ALCS_INLINE Reg Fma(Reg a, Reg b, Reg sum) { return _mm512_fmadd_ps(a, b, sum); }
  // kScale: to the nearest whole number, and v * 2^n for such an n.
  static ALCS_INLINE Reg Round(Reg v) {
    return _mm512_roundscale_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
  static ALCS_INLINE Reg Scale(Reg v, Reg n) { return _mm512_scalef_ps(v, n); }

  template <int G>
  struct Weights {
    const T* w;
    explicit ALCS_INLINE Weights(const T* p) : w(p) {}
    template <int kRow>
    ALCS_INLINE Reg Get() const {
      return _mm512_set1_ps(w[kRow]);
    }
  };

  using Tail = __mmask16;
  static ALCS_INLINE Tail MakeTail(int lanes) {
    return static_cast<Tail>((1U << static_cast<unsigned>(lanes)) - 1U);
  }
  static ALCS_INLINE Reg LoadTail(const T* p, Tail tail) { return _mm512_maskz_loadu_ps(tail, p); }
  static ALCS_INLINE void StoreTail(T* p, Reg v, Tail tail) { _mm512_mask_storeu_ps(p, tail, v); }

  struct Edge {
    int64_t start;
    __mmask16 mask;
  };
  static ALCS_INLINE Edge MakeEdge(int64_t start, int64_t width) {
    const int64_t low = start < 0 ? -start : 0;
    const int64_t high = width - start < N ? width - start : N;
    if (low >= high) return {0, 0};
    return {start, static_cast<__mmask16>((1U << static_cast<unsigned>(high)) -
                                          (1U << static_cast<unsigned>(low)))};
  }
  static ALCS_INLINE Reg LoadEdge(const T* row, Edge edge) {
    return _mm512_maskz_loadu_ps(edge.mask, row + edge.start);
  }

  static ALCS_INLINE Reg Even(Reg a, Reg b) {
    const __m512i index =
        _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    return _mm512_permutex2var_ps(a, index, b);
  }
  static ALCS_INLINE Reg Odd(Reg a, Reg b) {
    const __m512i index =
        _mm512_set_epi32(31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
    return _mm512_permutex2var_ps(a, index, b);
  }

  static ALCS_INLINE Reg ShiftIn(Reg v, const T* next) {
    const __m512i last = _mm512_castps_si512(_mm512_set1_ps(*next));
    return _mm512_castsi512_ps(_mm512_alignr_epi32(last, _mm512_castps_si512(v), 1));
  }

  // kCompress: the chosen lanes moved together, and back.
  static ALCS_INLINE Reg Compress(uint32_t lanes, Reg v) {
    return _mm512_maskz_compress_ps(static_cast<__mmask16>(lanes), v);
  }
  static ALCS_INLINE Reg Expand(uint32_t lanes, Reg v) {
    return _mm512_maskz_expand_ps(static_cast<__mmask16>(lanes), v);
  }

  // kQuad: one register as 4 pixels x 4 output channels (lane = 4 * pixel + channel).
  static ALCS_INLINE Reg RepeatFour(const T* p) { return _mm512_broadcast_f32x4(_mm_loadu_ps(p)); }
  static ALCS_INLINE Reg SpreadPixels(const T* p, int pixels) {
    const __m512i index = _mm512_set_epi32(3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0);
    const __m128 four = _mm_maskz_loadu_ps(static_cast<__mmask8>((1U << pixels) - 1U), p);
    return _mm512_permutexvar_ps(index, _mm512_castps128_ps512(four));
  }
  template <int kQuarter>
  static ALCS_INLINE void StoreFew(T* p, Reg v, __mmask8 mask) {
    __m128 quarter = _mm512_extractf32x4_ps(v, kQuarter);
    // The compiler would fold this into a masked extraction to memory, which, unlike a masked
    // store, faults on the lanes that it does not write.
    ALCS_KEEP_IN_REGISTER(quarter);
    _mm_mask_storeu_ps(p, mask, quarter);
  }
  static ALCS_INLINE void FinishQuad(Reg v, const P::Epilogue& e, int pixels, const T* residual,
                                     T* out, const int64_t* row_at) {
    const __m512i transpose =
        _mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
    const auto mask = static_cast<__mmask8>((1U << pixels) - 1U);
    v = _mm512_permutexvar_ps(transpose, v);
    if (residual != nullptr) {
      __m512 r = _mm512_castps128_ps512(_mm_maskz_loadu_ps(mask, residual + row_at[0]));
      r = _mm512_insertf32x4(r, _mm_maskz_loadu_ps(mask, residual + row_at[1]), 1);
      r = _mm512_insertf32x4(r, _mm_maskz_loadu_ps(mask, residual + row_at[2]), 2);
      r = _mm512_insertf32x4(r, _mm_maskz_loadu_ps(mask, residual + row_at[3]), 3);
      v = Add(v, r);
    }
    if (e.has_slope) v = Max(v, Mul(v, Set1(e.slope)));
    v = Max(v, Set1(e.low));
    if (e.has_high) v = Min(v, Set1(e.high));
    StoreFew<0>(out + row_at[0], v, mask);
    StoreFew<1>(out + row_at[1], v, mask);
    StoreFew<2>(out + row_at[2], v, mask);
    StoreFew<3>(out + row_at[3], v, mask);
  }
};

}  // namespace
}  // namespace kernels
}  // namespace alcs

#endif  // ALCS_SRC_KERNELS_VEC_AVX512_H_
