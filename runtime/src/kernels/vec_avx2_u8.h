// 8 words of four channels each. The members are described in vec_scalar.h and vec_scalar_u8.h.
//
// Without dot products of bytes: channels 0 and 2 of a word, and 1 and 3, are two vectors of 16
// bits, and vpmaddwd sums the products of each exactly. (vpmaddubsw takes bytes as they are and
// cuts sums of two products off at 16 bits.) Weights are packed as such pairs, two words each.
#ifndef ALCS_SRC_KERNELS_VEC_AVX2_U8_H_
#define ALCS_SRC_KERNELS_VEC_AVX2_U8_H_

#include "kernels/kernel_api.h"
#include "kernels/macros.h"
#include "kernels/vec_avx2.h"

namespace alcs {
namespace kernels {
namespace {

struct Avx2U8 {
  using P = Uint8;
  using T = Uint8::Word;
  using Float = Avx2F32;
  static constexpr int N = Float::N;
  static constexpr int kRegisters = Float::kRegisters;
  static constexpr bool kMasks = Float::kMasks;
  static constexpr bool kCompress = Float::kCompress;
  static constexpr bool kQuad = false;
  static constexpr bool kFreeEdges = Float::kFreeEdges;
  static constexpr bool kOneAddress = Float::kOneAddress;
  static constexpr bool kZeroIsOutside = false;
  static constexpr int kWeightWords = 2;
  static constexpr int kInputOffset = 0;

  using Reg = __m256i;
  using Floats = __m256;
  using Sum = __m256i;
  struct Pairs {  // channels 0 and 2, and 1 and 3, of 16 bits
    __m256i even, odd;
  };
  using Input = Pairs;

  static ALCS_INLINE Reg Set1(int32_t x) { return _mm256_set1_epi32(x); }
  static ALCS_INLINE Reg Set1(T x) { return _mm256_set1_epi32(static_cast<int32_t>(x)); }
  static ALCS_INLINE Floats Set1(float x) { return _mm256_set1_ps(x); }
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

  static ALCS_INLINE Input MakeInput(Reg loaded) {
    return {_mm256_and_si256(loaded, _mm256_set1_epi32(0x00ff00ff)), _mm256_srli_epi16(loaded, 8)};
  }
  static ALCS_INLINE Sum Start(const Uint8::Bias& bias) { return Set1(bias.sum); }
  static ALCS_INLINE Sum MultiplyAdd(const Pairs& w, const Input& x, Sum sum) {
    return _mm256_add_epi32(_mm256_add_epi32(sum, _mm256_madd_epi16(w.even, x.even)),
                            _mm256_madd_epi16(w.odd, x.odd));
  }
  static ALCS_INLINE Reg Total(Sum sum) { return sum; }

  template <int G>
  static void PackWeights(const int32_t* column, int32_t* packed) {
    for (int row = 0; row < G; ++row) {
      const auto word = static_cast<uint32_t>(column[row]);
      const auto pair = [word](int low, int high) {
        const auto wide = [word](int channel) {
          return static_cast<uint16_t>(static_cast<int8_t>(word >> (8 * channel)));
        };
        return static_cast<int32_t>(wide(low) | static_cast<uint32_t>(wide(high)) << 16);
      };
      packed[2 * row] = pair(0, 2);
      packed[2 * row + 1] = pair(1, 3);
    }
  }
  template <int G>
  struct Weights {
    const int32_t* w;
    explicit ALCS_INLINE Weights(const int32_t* p) : w(p) {}
    template <int kRow>
    ALCS_INLINE Pairs Get() const {
      return {_mm256_set1_epi32(w[2 * kRow]), _mm256_set1_epi32(w[2 * kRow + 1])};
    }
  };

  static ALCS_INLINE Reg Add(Reg a, Reg b) { return _mm256_add_epi32(a, b); }
  static ALCS_INLINE Reg Sub(Reg a, Reg b) { return _mm256_sub_epi32(a, b); }
  static ALCS_INLINE Floats Add(Floats a, Floats b) { return _mm256_add_ps(a, b); }
  static ALCS_INLINE Floats Mul(Floats a, Floats b) { return _mm256_mul_ps(a, b); }
  static ALCS_INLINE Floats Max(Floats v, Floats bound) { return Float::Max(v, bound); }
  static ALCS_INLINE Floats Min(Floats v, Floats bound) { return Float::Min(v, bound); }
  static ALCS_INLINE Floats ToFloats(Reg v) { return _mm256_cvtepi32_ps(v); }
  static ALCS_INLINE Reg Round(Floats v) { return _mm256_cvtps_epi32(v); }

  using Tail = Float::Tail;
  static ALCS_INLINE Tail MakeTail(int lanes) { return Float::MakeTail(lanes); }
  static ALCS_INLINE Reg LoadTail(const T* p, const Tail& tail) {
    return _mm256_maskload_epi32(reinterpret_cast<const int*>(p), tail.mask);
  }
  static ALCS_INLINE void StoreTail(T* p, Reg v, const Tail& tail) {
    Float::StoreTail(reinterpret_cast<float*>(p), _mm256_castsi256_ps(v), tail);
  }

  using Edge = Float::Edge;
  static ALCS_INLINE Edge MakeEdge(int64_t start, int64_t width) {
    return Float::MakeEdge(start, width);
  }
  static ALCS_INLINE Reg LoadEdge(const T* row, const Edge& edge, Reg outside) {
    const __m256i inside =
        _mm256_maskload_epi32(reinterpret_cast<const int*>(row + edge.start), edge.mask);
    return _mm256_blendv_epi8(outside, inside, edge.mask);
  }
  static ALCS_INLINE Reg Even(Reg a, Reg b) {
    return _mm256_castps_si256(Float::Even(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b)));
  }
};

}  // namespace
}  // namespace kernels
}  // namespace alcs

#endif  // ALCS_SRC_KERNELS_VEC_AVX2_U8_H_
