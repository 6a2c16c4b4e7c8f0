// 4 words of four channels each. The members are described in vec_scalar.h and vec_scalar_u8.h.
//
// Without dot products of bytes (Cortex-A72): signed bytes are multiplied to 16 bits, and pairs of
// products summed into 32. A pixel's four products come to two sums, in two registers for four
// pixels, which are added at the end. Inputs become signed by taking 128 from them, when they are
// copied to planes: in the loop it would be an instruction for every eight products or four.
#ifndef ALCS_SRC_KERNELS_VEC_NEON_U8_H_
#define ALCS_SRC_KERNELS_VEC_NEON_U8_H_

#include "kernels/kernel_api.h"
#include "kernels/macros.h"
#include "kernels/unroll.h"
#include "kernels/vec_neon.h"
#include "kernels/word_sums.h"

namespace alcs {
namespace kernels {
namespace {

struct NeonU8 : WordSums<NeonF32> {
  static constexpr int kInputOffset = 128;
  using Narrow = NeonU8;

  using Reg = int32x4_t;
  struct Sum {
    int32x4_t low, high;  // two sums for each of two pixels
  };
  using Input = int8x16_t;

  using WordSums::Set1;
  static ALCS_INLINE Reg Set1(int32_t x) { return vdupq_n_s32(x); }
  static ALCS_INLINE Reg Set1(T x) { return vdupq_n_s32(static_cast<int32_t>(x)); }
  static ALCS_INLINE Reg Load(const T* p) { return vld1q_s32(reinterpret_cast<const int32_t*>(p)); }
  static ALCS_INLINE void Store(T* p, Reg v) { vst1q_s32(reinterpret_cast<int32_t*>(p), v); }

  template <int kChannel>
  static ALCS_INLINE Reg Byte(Reg word) {
    const uint32x4_t all = vreinterpretq_u32_s32(word);
    if constexpr (kChannel == 0) {
      return vreinterpretq_s32_u32(vandq_u32(all, vdupq_n_u32(0xff)));
    } else {
      return vreinterpretq_s32_u32(vandq_u32(vshrq_n_u32(all, 8 * kChannel), vdupq_n_u32(0xff)));
    }
  }
  template <int kChannel>
  static ALCS_INLINE Reg WithByte(Reg word, Reg byte) {
    return vorrq_s32(word, vshlq_n_s32(byte, 8 * kChannel));
  }

  // Planes hold signed bytes.
  static ALCS_INLINE T ForPlanes(T word) { return word ^ 0x80808080U; }
  static ALCS_INLINE Reg ForPlanes(Reg words) {
    return vreinterpretq_s32_s8(veorq_s8(vreinterpretq_s8_s32(words), vdupq_n_s8(-128)));
  }
  static ALCS_INLINE Input MakeInput(Reg loaded) { return vreinterpretq_s8_s32(loaded); }
  static ALCS_INLINE Sum Start(const Uint8::Bias& bias) {
    const int32x4_t half = vcombine_s32(vdup_n_s32(0), vdup_n_s32(0));
    const int32x4_t first = vsetq_lane_s32(bias.sum, vsetq_lane_s32(bias.sum, half, 0), 2);
    return {first, first};
  }
  static ALCS_INLINE Sum MultiplyAdd(int8x8_t w, Input x, Sum sum) {
    return {vpadalq_s16(sum.low, vmull_s8(vget_low_s8(x), w)),
            vpadalq_s16(sum.high, vmull_s8(vget_high_s8(x), w))};
  }
  static ALCS_INLINE Reg Total(const Sum& sum) { return vpaddq_s32(sum.low, sum.high); }

  template <int G>
  struct Weights {
    const int32_t* w;
    explicit ALCS_INLINE Weights(const int32_t* p) : w(p) {}
    template <int kRow>
    ALCS_INLINE int8x8_t Get() const {
      return vreinterpret_s8_s32(vdup_n_s32(w[kRow]));
    }
  };

  // A part is the channels of a pixel.
  struct WindowSum {
    int32x4_t part[kParts];
  };
  struct TapPair {  // of 16 bits: two pixels each
    int16x8_t first[2], second[2];
  };
  static ALCS_INLINE WindowSum StartWindow(const Uint8::Bias* b) {
    const int32x4_t sums = {b[0].sum, b[1].sum, b[2].sum, b[3].sum};
    return {{sums, sums, sums, sums}};
  }
  // 0: the first two words, 1: the others.
  template <int kHalf>
  static ALCS_INLINE int16x8_t Wide(Reg words) {
    const uint8x16_t bytes = vreinterpretq_u8_s32(words);
    return vreinterpretq_s16_u16(vmovl_u8(kHalf == 0 ? vget_low_u8(bytes) : vget_high_u8(bytes)));
  }
  static ALCS_INLINE TapPair PairTaps(Reg first, Reg second) {
    return {{Wide<0>(first), Wide<1>(first)}, {Wide<0>(second), Wide<1>(second)}};
  }
  static ALCS_INLINE WindowSum AddPair(const TapPair& pair, const int32_t* w, WindowSum sum) {
    const int16x4x2_t weights = vld2_s16(reinterpret_cast<const int16_t*>(w));
    for (int half = 0; half < 2; ++half) {
      int32x4_t& low = sum.part[2 * half];
      int32x4_t& high = sum.part[2 * half + 1];
      low = vmlal_s16(low, vget_low_s16(pair.first[half]), weights.val[0]);
      low = vmlal_s16(low, vget_low_s16(pair.second[half]), weights.val[1]);
      high = vmlal_s16(high, vget_high_s16(pair.first[half]), weights.val[0]);
      high = vmlal_s16(high, vget_high_s16(pair.second[half]), weights.val[1]);
    }
    return sum;
  }
  static ALCS_INLINE Floats WindowScales(const Uint8::Bias* b) {
    return Floats{b[0].scale, b[1].scale, b[2].scale, b[3].scale};
  }
  template <int kPart>
  static ALCS_INLINE Reg PartOf(Reg words) {
    const int16x8_t two = Wide<kPart / 2>(words);
    return vmovl_s16(kPart % 2 == 0 ? vget_low_s16(two) : vget_high_s16(two));
  }
  static ALCS_INLINE Reg JoinParts(const Reg (&y)[kParts]) {
    const int16x8_t low = vcombine_s16(vmovn_s32(y[0]), vmovn_s32(y[1]));
    const int16x8_t high = vcombine_s16(vmovn_s32(y[2]), vmovn_s32(y[3]));
    return vreinterpretq_s32_s8(vcombine_s8(vmovn_s16(low), vmovn_s16(high)));
  }

  using WordSums::Add;
  static ALCS_INLINE Reg Add(Reg a, Reg b) { return vaddq_s32(a, b); }
  static ALCS_INLINE Reg Sub(Reg a, Reg b) { return vsubq_s32(a, b); }
  static ALCS_INLINE Floats ToFloats(Reg v) { return vcvtq_f32_s32(v); }
  static ALCS_INLINE Reg Round(Floats v) { return vcvtnq_s32_f32(v); }

  static ALCS_INLINE Reg LoadTail(const T* p, Tail lanes) {
    T copy[N] = {};
    for (int i = 0; i < N && i < lanes; ++i) copy[i] = p[i];
    return Load(copy);
  }
  static ALCS_INLINE void StoreTail(T* p, Reg v, Tail lanes) {
    Float::StoreTail(reinterpret_cast<float*>(p), vreinterpretq_f32_s32(v), lanes);
  }

  static ALCS_INLINE Reg LoadEdge(const T* row, const Edge& edge, Reg outside) {
    if (edge.narrow) {
      T copy[N];
      Store(copy, outside);
      for (int i = edge.low; i < edge.high; ++i) copy[i] = row[edge.start + i];
      return Load(copy);
    }
    const uint8x16_t loaded = vreinterpretq_u8_s32(Load(row + edge.start));
    return vreinterpretq_s32_u8(vqtbx1q_u8(vreinterpretq_u8_s32(outside), loaded, edge.index));
  }
  static ALCS_INLINE Reg Even(Reg a, Reg b) { return vuzp1q_s32(a, b); }
  static ALCS_INLINE Reg Odd(Reg a, Reg b) { return vuzp2q_s32(a, b); }
  static ALCS_INLINE Reg ShiftIn(Reg v, const T* next) {
    return vextq_s32(v, vdupq_n_s32(static_cast<int32_t>(*next)), 1);
  }
};

#ifdef __ARM_FEATURE_DOTPROD
// With dot products: one sum for each pixel, and weights stay lanes of the register that they were
// loaded with.
struct NeonDotU8 : NeonU8 {
  using Sum = int32x4_t;
  template <int kLane>
  struct Lane {
    int32x4_t four;
  };

  static ALCS_INLINE Sum Start(const Uint8::Bias& bias) { return vdupq_n_s32(bias.sum); }
  template <int kLane>
  static ALCS_INLINE Sum MultiplyAdd(Lane<kLane> w, Input x, Sum sum) {
    sum = vdotq_laneq_s32(sum, x, vreinterpretq_s8_s32(w.four), kLane);
    ALCS_KEEP_IN_REGISTER(sum);  // GCC 12 moves sums about, and spills one, where it is left to
    return sum;
  }
  static ALCS_INLINE Reg Total(Sum sum) { return sum; }

  template <int G>
  struct Weights {
    static_assert(G % 4 == 0, "whole registers of weights");
    int32x4_t four[G / 4];
    explicit ALCS_INLINE Weights(const int32_t* p) {
      Unroll<0, G / 4>([&](auto i) ALCS_INLINE_LAMBDA {
        int32x4_t loaded = vld1q_s32(p + 4 * i);
        ALCS_KEEP_IN_REGISTER(loaded);
        four[i] = loaded;
      });
    }
    template <int kRow>
    ALCS_INLINE Lane<kRow % 4> Get() const {
      return {four[kRow / 4]};
    }
  };
};
#endif

}  // namespace
}  // namespace kernels
}  // namespace alcs

#endif  // ALCS_SRC_KERNELS_VEC_NEON_U8_H_
