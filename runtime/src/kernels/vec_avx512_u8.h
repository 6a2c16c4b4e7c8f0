// 16 words of four channels each, with dot products of bytes (VNNI). The members are described in
// vec_scalar.h, word_sums.h and vec_scalar_u8.h.
#ifndef ALCS_SRC_KERNELS_VEC_AVX512_U8_H_
#define ALCS_SRC_KERNELS_VEC_AVX512_U8_H_

#include "kernels/kernel_api.h"
#include "kernels/macros.h"
#include "kernels/vec_avx2_u8.h"
#include "kernels/vec_avx512.h"
#include "kernels/word_sums.h"

namespace alcs {
namespace kernels {
namespace {

struct Avx512U8 : WordSums<Avx512F32> {
  // Rows that would leave half of 16 lanes idle.
  using Narrow = Avx2U8;

  using Reg = __m512i;
  using Sum = __m512i;
  using Input = __m512i;

  using WordSums::Set1;
  static ALCS_INLINE Reg Set1(int32_t x) { return _mm512_set1_epi32(x); }
  static ALCS_INLINE Reg Set1(T x) { return _mm512_set1_epi32(static_cast<int32_t>(x)); }
  static ALCS_INLINE Reg Load(const T* p) { return _mm512_loadu_si512(p); }
  static ALCS_INLINE void Store(T* p, Reg v) { _mm512_storeu_si512(p, v); }

  template <int kChannel>
  static ALCS_INLINE Reg Byte(Reg word) {
    return _mm512_and_si512(_mm512_srli_epi32(word, 8 * kChannel), _mm512_set1_epi32(0xff));
  }
  template <int kChannel>
  static ALCS_INLINE Reg WithByte(Reg word, Reg byte) {
    return _mm512_or_si512(word, _mm512_slli_epi32(byte, 8 * kChannel));
  }

  static ALCS_INLINE Input MakeInput(Reg loaded) { return loaded; }
  static ALCS_INLINE Sum Start(const Uint8::Bias& bias) { return Set1(bias.sum); }
  static ALCS_INLINE Sum MultiplyAdd(Reg w, Input x, Sum sum) {
    sum = _mm512_dpbusd_epi32(sum, x, w);
    ALCS_KEEP_IN_REGISTER(sum);  // as in Avx2U8
    return sum;
  }
  static ALCS_INLINE Reg Total(Sum sum) { return sum; }

  template <int G>
  struct Weights {
    const int32_t* w;
    explicit ALCS_INLINE Weights(const int32_t* p) : w(p) {}
    template <int kRow>
    ALCS_INLINE Reg Get() const {
      return _mm512_set1_epi32(w[kRow]);
    }
  };

  // Part i has pixels i, i + 4, i + 8 and i + 12: what unpacking within quarters of a register
  // gives.
  struct WindowSum {
    __m512i part[kParts];
  };
  using TapPair = WindowSum;  // of 16 bits: a channel of the first tap, the same of the second
  static ALCS_INLINE WindowSum StartWindow(const Uint8::Bias* b) {
    const __m512i sums =
        _mm512_broadcast_i32x4(_mm_setr_epi32(b[0].sum, b[1].sum, b[2].sum, b[3].sum));
    return {{sums, sums, sums, sums}};
  }
  static ALCS_INLINE TapPair PairTaps(Reg first, Reg second) {
    const __m512i low = _mm512_unpacklo_epi8(first, second);
    const __m512i high = _mm512_unpackhi_epi8(first, second);
    const __m512i zero = _mm512_setzero_si512();
    return {{_mm512_unpacklo_epi8(low, zero), _mm512_unpackhi_epi8(low, zero),
             _mm512_unpacklo_epi8(high, zero), _mm512_unpackhi_epi8(high, zero)}};
  }
  static ALCS_INLINE WindowSum AddPair(const TapPair& pair, const int32_t* w, WindowSum sum) {
    const __m512i weights =
        _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(w)));
    for (int i = 0; i < kParts; ++i) {
      sum.part[i] = _mm512_dpwssd_epi32(sum.part[i], pair.part[i], weights);
    }
    return sum;
  }
  static ALCS_INLINE Floats WindowScales(const Uint8::Bias* b) {
    return _mm512_broadcast_f32x4(_mm_setr_ps(b[0].scale, b[1].scale, b[2].scale, b[3].scale));
  }
  template <int kPart>
  static ALCS_INLINE Reg PartOf(Reg words) {
    constexpr int kAt = 4 * kPart;
    const __m512i places = _mm512_broadcast_i32x4(_mm_setr_epi8(
        kAt, -1, -1, -1, kAt + 1, -1, -1, -1, kAt + 2, -1, -1, -1, kAt + 3, -1, -1, -1));
    return _mm512_shuffle_epi8(words, places);
  }
  static ALCS_INLINE Reg JoinParts(const Reg (&y)[kParts]) {
    return _mm512_packus_epi16(_mm512_packs_epi32(y[0], y[1]), _mm512_packs_epi32(y[2], y[3]));
  }

  using WordSums::Add;
  static ALCS_INLINE Reg Add(Reg a, Reg b) { return _mm512_add_epi32(a, b); }
  static ALCS_INLINE Reg Sub(Reg a, Reg b) { return _mm512_sub_epi32(a, b); }
  static ALCS_INLINE Floats ToFloats(Reg v) { return _mm512_cvtepi32_ps(v); }
  static ALCS_INLINE Reg Round(Floats v) { return _mm512_cvtps_epi32(v); }

  static ALCS_INLINE Reg LoadTail(const T* p, Tail tail) {
    return _mm512_maskz_loadu_epi32(tail, p);
  }
  static ALCS_INLINE void StoreTail(T* p, Reg v, Tail tail) {
    _mm512_mask_storeu_epi32(p, tail, v);
  }
  static ALCS_INLINE Reg LoadEdge(const T* row, Edge edge, Reg outside) {
    return _mm512_mask_loadu_epi32(outside, edge.mask, row + edge.start);
  }
  static ALCS_INLINE Reg Even(Reg a, Reg b) {
    return _mm512_castps_si512(Float::Even(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b)));
  }
  static ALCS_INLINE Reg Odd(Reg a, Reg b) {
    return _mm512_castps_si512(Float::Odd(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b)));
  }
  static ALCS_INLINE Reg ShiftIn(Reg v, const T* next) {
    return _mm512_alignr_epi32(Set1(*next), v, 1);
  }
  static ALCS_INLINE Reg Compress(uint32_t lanes, Reg v) {
    return _mm512_maskz_compress_epi32(static_cast<__mmask16>(lanes), v);
  }
  static ALCS_INLINE Reg Expand(uint32_t lanes, Reg v) {
    return _mm512_maskz_expand_epi32(static_cast<__mmask16>(lanes), v);
  }
};

}  // namespace
}  // namespace kernels
}  // namespace alcs

#endif  // ALCS_SRC_KERNELS_VEC_AVX512_U8_H_
