// 8 floats. The members every vector type has are described in vec_scalar.h.
#ifndef ALCS_SRC_KERNELS_VEC_AVX2_H_
#define ALCS_SRC_KERNELS_VEC_AVX2_H_

#include <immintrin.h>

#include <cstdint>

#include "kernels/float_sums.h"
#include "kernels/kernel_api.h"
#include "kernels/lane_tables.h"
#include "kernels/macros.h"

namespace alcs {
namespace kernels {
namespace {

struct Avx2Registers {
  using Reg = __m256;
};

struct Avx2F32 : FloatSums<Avx2F32, Avx2Registers> {
  using T = float;
  using Narrow = Avx2F32;
  static constexpr int N = 8;
  static constexpr int kRegisters = 16;
  static constexpr bool kMasks = true;
  static constexpr bool kCompress = true;
  static constexpr bool kQuad = false;
  static constexpr bool kFreeEdges = false;
  static constexpr bool kOneAddress = false;
  static constexpr bool kScale = false;

  static ALCS_INLINE Reg Set1(T x) { return _mm256_set1_ps(x); }
  static ALCS_INLINE Reg Load(const T* p) { return _mm256_loadu_ps(p); }
  static ALCS_INLINE void Store(T* p, Reg v) { _mm256_storeu_ps(p, v); }
  static ALCS_INLINE Reg Add(Reg a, Reg b) { return _mm256_add_ps(a, b); }
  static ALCS_INLINE Reg Sub(Reg a, Reg b) { return _mm256_sub_ps(a, b); }
  static ALCS_INLINE Reg Mul(Reg a, Reg b) { return _mm256_mul_ps(a, b); }
  static ALCS_INLINE Reg Div(Reg a, Reg b) { return _mm256_div_ps(a, b); }
  // The second operand of max and min is what a NaN is compared as: it stays.
  static ALCS_INLINE Reg Max(Reg v, Reg bound) { return _mm256_max_ps(bound, v); }
  static ALCS_INLINE Reg Larger(Reg a, Reg b) { return _mm256_max_ps(b, a); }
  static ALCS_INLINE Reg Min(Reg v, Reg bound) { return _mm256_min_ps(bound, v); }
  static ALCS_INLINE Reg Fma(Reg a, Reg b, Reg sum) { return _mm256_fmadd_ps(a, b, sum); }
  static ALCS_INLINE Reg LowBitsToExponent(Reg v) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(v), 23));
  }

  template <int G>
  struct Weights {
    const T* w;
    explicit ALCS_INLINE Weights(const T* p) : w(p) {}
    template <int kRow>
    ALCS_INLINE Reg Get() const {
      return _mm256_broadcast_ss(w + kRow);
    }
  };

  // All-ones in the lanes [low, high).
  static ALCS_INLINE __m256i LaneMask(int low, int high) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_andnot_si256(_mm256_cmpgt_epi32(_mm256_set1_epi32(low), lane),
                               _mm256_cmpgt_epi32(_mm256_set1_epi32(high), lane));
  }

  struct Tail {
    __m256i mask;
    int lanes;
  };
  static ALCS_INLINE Tail MakeTail(int lanes) { return {LaneMask(0, lanes), lanes}; }
  static ALCS_INLINE Reg LoadTail(const T* p, const Tail& tail) {
    return _mm256_maskload_ps(p, tail.mask);
  }
  // Masked stores are slow on some processors (microcoded on AMD's); masked loads are not.
  static ALCS_INLINE void StoreTail(T* p, Reg v, const Tail& tail) {
    if (tail.lanes == N) return Store(p, v);
    __m128 part = _mm256_castps256_ps128(v);
    if ((tail.lanes & 4) != 0) {
      _mm_storeu_ps(p, part);
      p += 4;
      part = _mm256_extractf128_ps(v, 1);
    }
    if ((tail.lanes & 2) != 0) {
      _mm_storel_pi(reinterpret_cast<__m64*>(p), part);
      p += 2;
      part = _mm_movehl_ps(part, part);
    }
    if ((tail.lanes & 1) != 0) _mm_store_ss(p, part);
  }

  struct Edge {
    int64_t start;
    __m256i mask;
  };
  static ALCS_INLINE Edge MakeEdge(int64_t start, int64_t width) {
    const int64_t low = start < 0 ? -start : 0;
    const int64_t high = width - start < N ? width - start : N;
    if (low >= high) return {0, _mm256_setzero_si256()};
    return {start, LaneMask(static_cast<int>(low), static_cast<int>(high))};
  }
  static ALCS_INLINE Reg LoadEdge(const T* row, const Edge& edge) {
    return _mm256_maskload_ps(row + edge.start, edge.mask);
  }

  static ALCS_INLINE Reg Even(Reg a, Reg b) {
    const __m256d mixed = _mm256_castps_pd(_mm256_shuffle_ps(a, b, 0x88));
    return _mm256_castpd_ps(_mm256_permute4x64_pd(mixed, 0xd8));
  }
  static ALCS_INLINE Reg Odd(Reg a, Reg b) {
    const __m256d mixed = _mm256_castps_pd(_mm256_shuffle_ps(a, b, 0xdd));
    return _mm256_castpd_ps(_mm256_permute4x64_pd(mixed, 0xd8));
  }
  // kCompress: the chosen lanes moved together, and back; what the others become is left open.
  static ALCS_INLINE __m256i Places(const LaneTable& table, uint32_t lanes) {
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(table.at[lanes])));
  }
  static ALCS_INLINE Reg Compress(uint32_t lanes, Reg v) {
    return _mm256_permutevar8x32_ps(v, Places(kCompressTable, lanes));
  }
  static ALCS_INLINE Reg Expand(uint32_t lanes, Reg v) {
    return _mm256_permutevar8x32_ps(v, Places(kExpandTable, lanes));
  }
  static ALCS_INLINE Reg ShiftIn(Reg v, const T* next) {
    const __m256 rotated = _mm256_permutevar8x32_ps(v, _mm256_setr_epi32(1, 2, 3, 4, 5, 6, 7, 0));
    return _mm256_blend_ps(rotated, _mm256_broadcast_ss(next), 0x80);
  }
};

}  // namespace
}  // namespace kernels
}  // namespace alcs

#endif  // ALCS_SRC_KERNELS_VEC_AVX2_H_
