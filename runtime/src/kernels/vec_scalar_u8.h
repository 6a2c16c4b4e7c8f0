// 4 words of four channels each, for machines without kernels of their own. Also the description of
// what integer tiles ask of a vector type: what is here and in word_sums.h, beside what
// vec_scalar.h says of loads and stores.
#ifndef ALCS_SRC_KERNELS_VEC_SCALAR_U8_H_
#define ALCS_SRC_KERNELS_VEC_SCALAR_U8_H_

#include "kernels/kernel_api.h"
#include "kernels/macros.h"
#include "kernels/vec_scalar.h"
#include "kernels/word_sums.h"

namespace alcs {
namespace kernels {
namespace {

struct ScalarU8 : WordSums<ScalarF32> {
  using Narrow = ScalarU8;

  typedef int32_t Reg __attribute__((vector_size(N * sizeof(int32_t))));
  using Sum = Reg;
  struct Input {  // channel by channel
    Reg channel[4];
  };

  using WordSums::Set1;
  static ALCS_INLINE Reg Set1(int32_t x) { return Reg{x, x, x, x}; }
  static ALCS_INLINE Reg Set1(T x) { return Set1(static_cast<int32_t>(x)); }
  static ALCS_INLINE Reg Load(const T* p) {
    Reg v;
    __builtin_memcpy(&v, p, sizeof(v));
    return v;
  }
  static ALCS_INLINE void Store(T* p, Reg v) { __builtin_memcpy(p, &v, sizeof(v)); }

  // Channel `kChannel` of each word, and words whose channel is replaced: it must be zero.
  template <int kChannel>
  static ALCS_INLINE Reg Byte(Reg word) {
    return (word >> (8 * kChannel)) & 0xff;
  }
  template <int kChannel>
  static ALCS_INLINE Reg WithByte(Reg word, Reg byte) {
    return word | (byte << (8 * kChannel));
  }

  static ALCS_INLINE Input MakeInput(Reg loaded) {
    return {{Byte<0>(loaded), Byte<1>(loaded), Byte<2>(loaded), Byte<3>(loaded)}};
  }
  static ALCS_INLINE Sum Start(const Uint8::Bias& bias) { return Set1(bias.sum); }
  static ALCS_INLINE Sum MultiplyAdd(int32_t weight, const Input& x, Sum sum) {
    const auto at = [weight](int channel) {
      return static_cast<int32_t>(
          static_cast<int8_t>(static_cast<uint32_t>(weight) >> (8 * channel)));
    };
    return sum + at(0) * x.channel[0] + at(1) * x.channel[1] + at(2) * x.channel[2] +
           at(3) * x.channel[3];
  }
  // The sums of pixels.
  static ALCS_INLINE Reg Total(const Sum& sum) { return sum; }

  template <int G>
  struct Weights {
    const int32_t* w;
    explicit ALCS_INLINE Weights(const int32_t* p) : w(p) {}
    template <int kRow>
    ALCS_INLINE int32_t Get() const {
      return w[kRow];
    }
  };

  struct WindowSum {  // the channels of a pixel each
    Reg part[kParts];
  };
  struct TapPair {
    Reg first, second;
  };
  static ALCS_INLINE WindowSum StartWindow(const Uint8::Bias* b) {
    const Reg sums = {b[0].sum, b[1].sum, b[2].sum, b[3].sum};
    return {{sums, sums, sums, sums}};
  }
  static ALCS_INLINE TapPair PairTaps(Reg first, Reg second) { return {first, second}; }
  // `w`: a pair of 16 bits for each channel.
  static ALCS_INLINE WindowSum AddPair(const TapPair& pair, const int32_t* w, WindowSum sum) {
    const Reg weights = {w[0], w[1], w[2], w[3]};
    const Reg first = (weights << 16) >> 16, second = weights >> 16;
    sum.part[0] += first * PartOf<0>(pair.first) + second * PartOf<0>(pair.second);
    sum.part[1] += first * PartOf<1>(pair.first) + second * PartOf<1>(pair.second);
    sum.part[2] += first * PartOf<2>(pair.first) + second * PartOf<2>(pair.second);
    sum.part[3] += first * PartOf<3>(pair.first) + second * PartOf<3>(pair.second);
    return sum;
  }
  static ALCS_INLINE Floats WindowScales(const Uint8::Bias* b) {
    return Floats{b[0].scale, b[1].scale, b[2].scale, b[3].scale};
  }
  // The bytes of words as such a part, and words of all parts.
  template <int kPart>
  static ALCS_INLINE Reg PartOf(Reg words) {
    const int32_t word = words[kPart];
    return Reg{word & 0xff, (word >> 8) & 0xff, (word >> 16) & 0xff, (word >> 24) & 0xff};
  }
  static ALCS_INLINE Reg JoinParts(const Reg (&y)[kParts]) {
    Reg words = {};
    for (int part = 0; part < kParts; ++part) {
      words[part] = y[part][0] | y[part][1] << 8 | y[part][2] << 16 | y[part][3] << 24;
    }
    return words;
  }

  using WordSums::Add;
  static ALCS_INLINE Reg Add(Reg a, Reg b) { return a + b; }
  static ALCS_INLINE Reg Sub(Reg a, Reg b) { return a - b; }
  static ALCS_INLINE Floats ToFloats(Reg v) { return __builtin_convertvector(v, Floats); }
  // To the nearest whole number, ties to even, of magnitudes below 2^22.
  static ALCS_INLINE Reg Round(Floats v) {
    const Floats shift = Set1(12582912.0F);  // 1.5 * 2^23
    Floats whole = v + shift;
    // Else a compiler that may reorder sums would leave nothing of it.
    ALCS_KEEP_IN_REGISTER(whole);
    return __builtin_convertvector(whole - shift, Reg);
  }

  static ALCS_INLINE Reg LoadTail(const T* p, Tail lanes) {
    Reg v = {};
    for (int i = 0; i < N; ++i) {
      if (i < lanes) v[i] = static_cast<int32_t>(p[i]);
    }
    return v;
  }
  static ALCS_INLINE void StoreTail(T* p, Reg v, Tail lanes) {
    for (int i = 0; i < N; ++i) {
      if (i < lanes) p[i] = static_cast<T>(v[i]);
    }
  }

  static ALCS_INLINE Reg LoadEdge(const T* row, const Edge& edge, Reg outside) {
    Reg v = outside;
    for (int i = 0; i < N; ++i) {
      const int64_t x = edge.start + i;
      if (x >= 0 && x < edge.width) v[i] = static_cast<int32_t>(row[x]);
    }
    return v;
  }
  static ALCS_INLINE Reg Even(Reg a, Reg b) { return Reg{a[0], a[2], b[0], b[2]}; }
  static ALCS_INLINE Reg Odd(Reg a, Reg b) { return Reg{a[1], a[3], b[1], b[3]}; }
  static ALCS_INLINE Reg ShiftIn(Reg v, const T* next) {
    return Reg{v[1], v[2], v[3], static_cast<int32_t>(*next)};
  }
};

}  // namespace
}  // namespace kernels
}  // namespace alcs

#endif  // ALCS_SRC_KERNELS_VEC_SCALAR_U8_H_
