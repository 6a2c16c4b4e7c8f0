// 4 floats of 64-bit Arm. The members every vector type has are described in vec_scalar.h.
#ifndef ALCS_SRC_KERNELS_VEC_NEON_H_
#define ALCS_SRC_KERNELS_VEC_NEON_H_

#include <arm_neon.h>

#include <cstdint>

#include "kernels/float_sums.h"
#include "kernels/kernel_api.h"
#include "kernels/macros.h"
#include "kernels/unroll.h"

namespace alcs {
namespace kernels {
namespace {

struct NeonRegisters {
  using Reg = float32x4_t;
};

struct NeonF32 : FloatSums<NeonF32, NeonRegisters> {
  using T = float;
  using Narrow = NeonF32;
  static constexpr int N = 4;
  static constexpr int kRegisters = 32;
  static constexpr bool kMasks = false;
  static constexpr bool kCompress = false;
  static constexpr bool kQuad = false;
  static constexpr bool kFreeEdges = false;
  static constexpr bool kOneAddress = true;
  static constexpr bool kScale = false;

  static ALCS_INLINE Reg Set1(T x) { return vdupq_n_f32(x); }
  static ALCS_INLINE Reg Load(const T* p) { return vld1q_f32(p); }
  static ALCS_INLINE void Store(T* p, Reg v) { vst1q_f32(p, v); }
  static ALCS_INLINE Reg Add(Reg a, Reg b) { return vaddq_f32(a, b); }
  static ALCS_INLINE Reg Sub(Reg a, Reg b) { return vsubq_f32(a, b); }
  static ALCS_INLINE Reg Mul(Reg a, Reg b) { return vmulq_f32(a, b); }
  static ALCS_INLINE Reg Div(Reg a, Reg b) { return vdivq_f32(a, b); }
  static ALCS_INLINE Reg Max(Reg v, Reg bound) { return vmaxq_f32(v, bound); }  // NaN stays
  static ALCS_INLINE Reg Larger(Reg a, Reg b) { return vmaxnmq_f32(a, b); }
  static ALCS_INLINE Reg Min(Reg v, Reg bound) { return vminq_f32(v, bound); }
  static ALCS_INLINE Reg Fma(Reg a, Reg b, Reg sum) { return vfmaq_f32(sum, a, b); }
  static ALCS_INLINE Reg LowBitsToExponent(Reg v) {
    return vreinterpretq_f32_u32(vshlq_n_u32(vreinterpretq_u32_f32(v), 23));
  }

  // A weight stays a lane of the register it was loaded with: the multiply-add takes it from there.
  template <int kLane>
  struct Lane {
    float32x4_t four;
  };
  template <int kLane>
  static ALCS_INLINE Reg Fma(Lane<kLane> w, Reg x, Reg sum) {
    return vfmaq_laneq_f32(sum, x, w.four, kLane);
  }

  template <int G>
  struct Weights {
    float32x4_t four[(G + 3) / 4];
    explicit ALCS_INLINE Weights(const T* p) {
      if constexpr (G == 1) {
        four[0] = float32x4_t{*p, 0, 0, 0};
      } else if constexpr (G == 2) {
        four[0] = vcombine_f32(vld1_f32(p), vdup_n_f32(0));
      } else {
        static_assert(G % 4 == 0, "whole registers of weights");
        Unroll<0, G / 4>([&](auto i) ALCS_INLINE_LAMBDA {
          float32x4_t loaded = vld1q_f32(p + 4 * i);
          ALCS_KEEP_IN_REGISTER(
              loaded);  // else GCC loads early, and moves accumulators out of the way
          four[i] = loaded;
        });
      }
    }
    template <int kRow>
    ALCS_INLINE Lane<kRow % 4> Get() const {
      return {four[kRow / 4]};
    }
  };

  using Tail = int;  // lanes
  static ALCS_INLINE Tail MakeTail(int lanes) { return lanes; }
  static ALCS_INLINE Reg LoadTail(const T* p, Tail lanes) {
    T copy[N] = {};
    for (int i = 0; i < N && i < lanes; ++i) copy[i] = p[i];
    return Load(copy);
  }
  static ALCS_INLINE void StoreTail(T* p, Reg v, Tail lanes) {
    if (lanes == N) return Store(p, v);
    float32x2_t part = vget_low_f32(v);
    if ((lanes & 2) != 0) {
      vst1_f32(p, part);
      p += 2;
      part = vget_high_f32(v);
    }
    if ((lanes & 1) != 0) vst1_lane_f32(p, part, 0);
  }

  // A whole vector is loaded from inside the row and its lanes are moved into place by a table
  // look-up, which gives zero for the lanes outside. Rows shorter than a vector go lane by lane.
  struct Edge {
    int64_t start;
    int low, high;  // valid lanes
    bool narrow;
    uint8x16_t index;
  };
  static ALCS_INLINE Edge MakeEdge(int64_t start, int64_t width) {
    const int64_t low = start < 0 ? (-start < N ? -start : N) : 0;
    const int64_t end = width - start;
    const int64_t high = end < N ? (end > low ? end : low) : N;
    const int64_t last = width - N;
    int64_t inside = start < last ? start : last;
    inside = inside < 0 ? 0 : inside;
    const int64_t shift = low == high ? N : start - inside;  // all lanes outside: all indices are
    uint8_t bytes[16];
    for (int i = 0; i < 16; ++i) {
      const int64_t source = i + 4 * shift;
      bytes[i] = source < 0 || source > 15 ? 255 : static_cast<uint8_t>(source);
    }
    return {width < N ? start : inside, static_cast<int>(low), static_cast<int>(high), width < N,
            vld1q_u8(bytes)};
  }
  static ALCS_INLINE Reg LoadEdge(const T* row, const Edge& edge) {
    if (edge.narrow) {
      T copy[N] = {};
      for (int i = edge.low; i < edge.high; ++i) copy[i] = row[edge.start + i];
      return Load(copy);
    }
    const uint8x16_t loaded = vreinterpretq_u8_f32(Load(row + edge.start));
    return vreinterpretq_f32_u8(vqtbl1q_u8(loaded, edge.index));
  }

  static ALCS_INLINE Reg Even(Reg a, Reg b) { return vuzp1q_f32(a, b); }
  static ALCS_INLINE Reg Odd(Reg a, Reg b) { return vuzp2q_f32(a, b); }
  static ALCS_INLINE Reg ShiftIn(Reg v, const T* next) {
    return vextq_f32(v, vld1q_dup_f32(next), 1);
  }
};

}  // namespace
}  // namespace kernels
}  // namespace alcs

#endif  // ALCS_SRC_KERNELS_VEC_NEON_H_
