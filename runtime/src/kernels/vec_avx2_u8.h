// 8 words of four channels each. The members are described in vec_scalar.h and vec_scalar_u8.h.
//
// Without dot products of bytes: vpmaddubsw multiplies bytes as they are and sums two products, but
// cuts the sum off at 16 bits. No sum is too large for them where the positive weights of a pair
// come to 128 at most, and the negative ones. Columns that have others are stored in two halves.
#ifndef ALCS_SRC_KERNELS_VEC_AVX2_U8_H_
#define ALCS_SRC_KERNELS_VEC_AVX2_U8_H_

#include "kernels/kernel_api.h"
#include "kernels/macros.h"
#include "kernels/vec_avx2.h"
#include "kernels/word_sums.h"

namespace alcs {
namespace kernels {
namespace {

struct Avx2U8 : WordSums<Avx2F32> {
  static constexpr bool kSplitWeights = true;
  using Narrow = Avx2U8;

  using Reg = __m256i;
  using Sum = __m256i;
  using Input = __m256i;

  using WordSums::Set1;
  static ALCS_INLINE Reg Set1(int32_t x) { return _mm256_set1_epi32(x); }
  static ALCS_INLINE Reg Set1(T x) { return _mm256_set1_epi32(static_cast<int32_t>(x)); }
  static ALCS_INLINE Reg Load(const T* p) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  static ALCS_INLINE void Store(T* p, Reg v) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v);
  }

  template <int kChannel>
  static ALCS_INLINE Reg Byte(Reg word) {
    return _mm256_and_si256(_mm256_srli_epi32(word, 8 * kChannel), _mm256_set1_epi32(0xff));
  }
  template <int kChannel>
  static ALCS_INLINE Reg WithByte(Reg word, Reg byte) {
    return _mm256_or_si256(word, _mm256_slli_epi32(byte, 8 * kChannel));
  }

  static ALCS_INLINE Input MakeInput(Reg loaded) { return loaded; }
  static ALCS_INLINE Sum Start(const Uint8::Bias& bias) { return Set1(bias.sum); }
  static ALCS_INLINE Sum MultiplyAdd(Reg w, Input x, Sum sum) {
    const __m256i pairs = _mm256_maddubs_epi16(x, w);
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
    // One sum after the other: compilers begin so many products at once that sums leave their
    // registers, and wait for memory from column to column.
    ALCS_KEEP_IN_REGISTER(sum);
    return sum;
  }
  static ALCS_INLINE Reg Total(Sum sum) { return sum; }

  template <int G>
  static bool SplitWeights(int32_t* column, int32_t* exact) {
    constexpr int kMost = 128;
    bool left = false;
    for (int row = 0; row < G; ++row) {
      int8_t all[4], half[4];
      __builtin_memcpy(all, column + row, 4);
      for (int i = 0; i < 4; i += 2) {
        const int a = all[i], b = all[i + 1];
        const int up = (a > 0 ? a : 0) + (b > 0 ? b : 0), down = a + b - up;
        const bool whole = up <= kMost && down >= -kMost;
        half[i] = static_cast<int8_t>(whole ? a : a / 2);
        half[i + 1] = static_cast<int8_t>(whole ? b : b / 2);
        left = left || !whole;
      }
      for (int i = 0; i < 4; ++i) all[i] = static_cast<int8_t>(all[i] - half[i]);
      __builtin_memcpy(column + row, all, 4);
      __builtin_memcpy(exact + row, half, 4);
    }
    return left;
  }
  template <int G>
  struct Weights {
    const int32_t* w;
    explicit ALCS_INLINE Weights(const int32_t* p) : w(p) {}
    template <int kRow>
    ALCS_INLINE Reg Get() const {
      return _mm256_set1_epi32(w[kRow]);
    }
  };

  // Part i has pixels i and i + 4: what unpacking within halves of a register gives.
  struct WindowSum {
    __m256i part[kParts];
  };
  using TapPair = WindowSum;  // of 16 bits: a channel of the first tap, the same of the second
  static ALCS_INLINE WindowSum StartWindow(const Uint8::Bias* b) {
    const __m256i sums = _mm256_setr_epi32(b[0].sum, b[1].sum, b[2].sum, b[3].sum, b[0].sum,
                                           b[1].sum, b[2].sum, b[3].sum);
    return {{sums, sums, sums, sums}};
  }
  static ALCS_INLINE TapPair PairTaps(Reg first, Reg second) {
    const __m256i low = _mm256_unpacklo_epi8(first, second);
    const __m256i high = _mm256_unpackhi_epi8(first, second);
    const __m256i zero = _mm256_setzero_si256();
    return {{_mm256_unpacklo_epi8(low, zero), _mm256_unpackhi_epi8(low, zero),
             _mm256_unpacklo_epi8(high, zero), _mm256_unpackhi_epi8(high, zero)}};
  }
  static ALCS_INLINE WindowSum AddPair(const TapPair& pair, const int32_t* w, WindowSum sum) {
    const __m256i weights =
        _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(w)));
    for (int i = 0; i < kParts; ++i) {
      sum.part[i] = _mm256_add_epi32(sum.part[i], _mm256_madd_epi16(pair.part[i], weights));
    }
    return sum;
  }
  static ALCS_INLINE Floats WindowScales(const Uint8::Bias* b) {
    return _mm256_setr_ps(b[0].scale, b[1].scale, b[2].scale, b[3].scale, b[0].scale, b[1].scale,
                          b[2].scale, b[3].scale);
  }
  template <int kPart>
  static ALCS_INLINE Reg PartOf(Reg words) {
    constexpr int kAt = 4 * kPart;
    const __m256i places = _mm256_broadcastsi128_si256(_mm_setr_epi8(
        kAt, -1, -1, -1, kAt + 1, -1, -1, -1, kAt + 2, -1, -1, -1, kAt + 3, -1, -1, -1));
    return _mm256_shuffle_epi8(words, places);
  }
  static ALCS_INLINE Reg JoinParts(const Reg (&y)[kParts]) {
    return _mm256_packus_epi16(_mm256_packs_epi32(y[0], y[1]), _mm256_packs_epi32(y[2], y[3]));
  }

  using WordSums::Add;
  static ALCS_INLINE Reg Add(Reg a, Reg b) { return _mm256_add_epi32(a, b); }
  static ALCS_INLINE Reg Sub(Reg a, Reg b) { return _mm256_sub_epi32(a, b); }
  static ALCS_INLINE Floats ToFloats(Reg v) { return _mm256_cvtepi32_ps(v); }
  static ALCS_INLINE Reg Round(Floats v) { return _mm256_cvtps_epi32(v); }

  static ALCS_INLINE Reg LoadTail(const T* p, const Tail& tail) {
    return _mm256_maskload_epi32(reinterpret_cast<const int*>(p), tail.mask);
  }
  static ALCS_INLINE void StoreTail(T* p, Reg v, const Tail& tail) {
    Float::StoreTail(reinterpret_cast<float*>(p), _mm256_castsi256_ps(v), tail);
  }

  static ALCS_INLINE Reg LoadEdge(const T* row, const Edge& edge, Reg outside) {
    const __m256i inside =
        _mm256_maskload_epi32(reinterpret_cast<const int*>(row + edge.start), edge.mask);
    return _mm256_blendv_epi8(outside, inside, edge.mask);
  }
  static ALCS_INLINE Reg Even(Reg a, Reg b) {
    return _mm256_castps_si256(Float::Even(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b)));
  }
  static ALCS_INLINE Reg Odd(Reg a, Reg b) {
    return _mm256_castps_si256(Float::Odd(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b)));
  }
  static ALCS_INLINE Reg Compress(uint32_t lanes, Reg v) {
    return _mm256_castps_si256(Float::Compress(lanes, _mm256_castsi256_ps(v)));
  }
  static ALCS_INLINE Reg Expand(uint32_t lanes, Reg v) {
    return _mm256_castps_si256(Float::Expand(lanes, _mm256_castsi256_ps(v)));
  }
  static ALCS_INLINE Reg ShiftIn(Reg v, const T* next) {
    const __m256i rotated =
        _mm256_permutevar8x32_epi32(v, _mm256_setr_epi32(1, 2, 3, 4, 5, 6, 7, 0));
    return _mm256_blend_epi32(rotated, Set1(*next), 0x80);
  }
};

#ifdef __AVXVNNI__
// With dot products of bytes: one instruction for four products, and nothing is cut off.
struct AvxVnniU8 : Avx2U8 {
  static constexpr bool kSplitWeights = false;
  using Narrow = AvxVnniU8;

  static ALCS_INLINE Sum MultiplyAdd(Reg w, Input x, Sum sum) {
    sum = _mm256_dpbusd_avx_epi32(sum, x, w);
    ALCS_KEEP_IN_REGISTER(sum);
    return sum;
  }
  static ALCS_INLINE WindowSum AddPair(const TapPair& pair, const int32_t* w, WindowSum sum) {
    const __m256i weights =
        _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(w)));
    for (int i = 0; i < kParts; ++i) {
      sum.part[i] = _mm256_dpwssd_avx_epi32(sum.part[i], pair.part[i], weights);
    }
    return sum;
  }
};
#endif

}  // namespace
}  // namespace kernels
}  // namespace alcs

#endif  // ALCS_SRC_KERNELS_VEC_AVX2_U8_H_
