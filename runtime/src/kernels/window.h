// Depthwise convolution and max pooling with a square window, over any vector type (see
// vec_scalar.h).
//
// R rows x one vector of output pixels are accumulated while walking down the input rows, so each
// loaded vector serves every output row that it touches. Padding is a matter of edge loads and
// skipped rows: the input is not copied.
#ifndef ALCS_SRC_KERNELS_WINDOW_H_
#define ALCS_SRC_KERNELS_WINDOW_H_

#include <limits>

#include "kernels/kernel_api.h"
#include "kernels/macros.h"
#include "kernels/unroll.h"

namespace alcs {
namespace kernels {
namespace {

enum class WindowOp { kConvolve, kMax };

template <class V, int K, int kStride, WindowOp kOp>
struct WindowBody {
  static_assert(kStride == 1 || kStride == 2, "other strides have no kernels of their own");
  using T = typename V::T;
  using Reg = typename V::Reg;
  static constexpr int N = V::N;
  static constexpr bool kMax = kOp == WindowOp::kMax;
  // What counts as the value of a pixel outside the image.
  static constexpr T kOutside = kMax ? -std::numeric_limits<T>::infinity() : T(0);
  static constexpr int kBlockRows = 7;  // the usual map sizes are multiples of 7
  static constexpr int kVectors = 16;   // of a column chunk, whose edges are worked out only once
  // Whole vectors loaded per input row. With stride 2, two give the first two taps of each output,
  // and each further tap is an earlier one moved down a lane, with one more element moved in.
  static constexpr int kLoads = kStride == 1 ? K : 2;
  static constexpr int kSingles = kStride == 1 ? 0 : K - 2;

  // How to load the vectors of an input row for one vector of outputs.
  struct Columns {
    int64_t out;    // first output column
    int64_t start;  // input column of its first tap
    bool inside;    // no load and no store leaves the row
    typename V::Tail tail;
    typename V::Edge edge[kLoads];
    Reg outside[kMax ? kLoads : 1];  // added to what edge loads give: 0 inside the row, else -inf
    bool single[kSingles > 0 ? kSingles : 1];  // whether that element lies in the row
  };

  static constexpr int LoadAt(int i) { return kStride == 1 ? i : i * N; }

  static ALCS_INLINE Columns MakeColumns(const WindowArgs<typename V::P>& a, int64_t out) {
    Columns c;
    c.out = out;
    c.start = out * kStride - a.pad_left;
    c.inside = c.start >= 0 && c.start + LoadAt(kLoads - 1) + N + kSingles <= a.in_width;
    const int64_t left = a.out_width - out;
    c.inside = c.inside && left >= N;
    c.tail = V::MakeTail(left < N ? static_cast<int>(left) : N);
    for (int i = 0; i < kLoads; ++i) c.edge[i] = V::MakeEdge(c.start + LoadAt(i), a.in_width);
    if constexpr (kMax) {
      for (int i = 0; i < kLoads; ++i) {
        T added[N];
        for (int lane = 0; lane < N; ++lane) {
          const int64_t x = c.start + LoadAt(i) + lane;
          added[lane] = x >= 0 && x < a.in_width ? T(0) : kOutside;
        }
        c.outside[i] = V::Load(added);
      }
    }
    for (int i = 0; i < kSingles; ++i) {
      const int64_t x = c.start + 2 * N + i;
      c.single[i] = x >= 0 && x < a.in_width;
    }
    return c;
  }

  // The K vectors of an input row: lane i of x[k] is tap k of output column out + i.
  template <bool kInside>
  static ALCS_INLINE void LoadTaps(const T* row, const Columns& c, Reg (&x)[K]) {
    Reg loaded[kLoads];
    Unroll<0, kLoads>([&](auto i) ALCS_INLINE_LAMBDA {
      if constexpr (kInside) {
        loaded[i] = V::Load(row + c.start + LoadAt(i));
      } else {
        loaded[i] = V::LoadEdge(row, c.edge[i]);
        if constexpr (kMax) loaded[i] = V::Add(loaded[i], c.outside[i]);
      }
    });
    static constexpr T kNoPixel = kOutside;
    Unroll<0, K>([&](auto k) ALCS_INLINE_LAMBDA {
      if constexpr (kStride == 1) {
        x[k] = loaded[k];
      } else if constexpr (k == 0) {
        x[k] = V::Even(loaded[0], loaded[1]);
      } else if constexpr (k == 1) {
        x[k] = V::Odd(loaded[0], loaded[1]);
      } else {
        const T* next = row + c.start + 2 * N + k - 2;
        x[k] = V::ShiftIn(x[k - 2], kInside || c.single[k - 2] ? next : &kNoPixel);
      }
      ALCS_KEEP_IN_REGISTER(x[k]);
    });
  }

  // R output rows from `y`. kClipRows: some of the first and of the last K - 1 input rows may lie
  // outside; others only if R is 1.
  template <int R, bool kClipRows, bool kInside>
  static ALCS_INLINE void Block(const WindowArgs<typename V::P>& a, const T* input, T* output,
                                const T* residual, const Reg (&w)[K * K], Reg bias, int64_t y,
                                const Columns& c) {
    Reg acc[R];
    Unroll<0, R>([&](auto r) ALCS_INLINE_LAMBDA { acc[r] = bias; });
    const int64_t top = y * kStride - a.pad_top;
    const T* row = input + top * a.in_width;
    // This block's share of the rows that the next one, or the next channel, reads first.
    const T* const ahead =
        row + ((R - 1) * kStride + K) * a.in_width + c.out * kStride * R * kStride;
    Unroll<0, (R - 1) * kStride + K>([&](auto i) ALCS_INLINE_LAMBDA {
      // A test of every row would keep the compiler from overlapping their work.
      constexpr bool kMayBeAbove = kClipRows && (R == 1 || i < K - 1);
      constexpr bool kMayBeBelow = kClipRows && (R == 1 || i > (R - 1) * kStride);
      const bool outside = (kMayBeAbove && top + i < 0) || (kMayBeBelow && top + i >= a.in_height);
      // Large images come from the outer caches. In the order of memory, so that hardware
      // prefetchers see what is going on.
      constexpr int kLine = 64 / sizeof(T);
      constexpr int kStep = kStride * N;
      if constexpr (i < R * kStride && i * kStep % kLine < kStep) {
        ALCS_PREFETCH_READ(ahead + i * kStep);
        if constexpr (kStep > kLine) ALCS_PREFETCH_READ(ahead + i * kStep + kLine);
      }
      if (!outside) {
        Reg x[K];
        LoadTaps<kInside>(row, c, x);
        if constexpr (kMax) {
          Reg most = V::Set1(kOutside);  // a NaN counts as no pixel
          Unroll<0, K>([&](auto k) ALCS_INLINE_LAMBDA { most = V::Larger(most, x[k]); });
          x[0] = most;
        }
        Unroll<0, R>([&](auto r) ALCS_INLINE_LAMBDA {
          constexpr int kTapRow = i - r * kStride;
          if constexpr (kTapRow >= 0 && kTapRow < K) {
            if constexpr (kMax) {
              acc[r] = V::Max(acc[r], x[0]);
            } else {
              Unroll<0, K>([&](auto k) ALCS_INLINE_LAMBDA {
                acc[r] = V::Fma(w[kTapRow * K + k], x[k], acc[r]);
              });
            }
          }
        });
      }
      row += a.in_width;
    });
    const int64_t at = y * a.out_width + c.out;
    if (residual != nullptr) {
      Unroll<0, R>([&](auto r) ALCS_INLINE_LAMBDA {
        acc[r] = V::Add(acc[r], V::LoadTail(residual + at + r * a.out_width, c.tail));
      });
    }
    if (a.epilogue.has_slope) {
      const Reg slope = V::Set1(a.epilogue.slope);
      Unroll<0, R>([&](auto r)
                       ALCS_INLINE_LAMBDA { acc[r] = V::Max(acc[r], V::Mul(acc[r], slope)); });
    }
    if (a.epilogue.has_high) {
      const Reg high = V::Set1(a.epilogue.high);
      Unroll<0, R>([&](auto r) ALCS_INLINE_LAMBDA { acc[r] = V::Min(acc[r], high); });
    }
    const Reg low = V::Set1(a.epilogue.low);
    T* to = output + at;
    Unroll<0, R>([&](auto r) ALCS_INLINE_LAMBDA {
      if constexpr (kInside) {
        V::Store(to, V::Max(acc[r], low));
      } else {
        V::StoreTail(to, V::Max(acc[r], low), c.tail);
      }
      to += a.out_width;
    });
  }

  template <int R, bool kClipRows>
  static ALCS_INLINE void BlockRow(const WindowArgs<typename V::P>& a, const T* input, T* output,
                                   const T* residual, const Reg (&w)[K * K], Reg bias, int64_t y,
                                   const Columns* columns, int count) {
    for (int i = 0; i < count; ++i) {
      const Columns& c = columns[i];
      if constexpr (!V::kFreeEdges) {
        if (c.inside) {
          Block<R, kClipRows, true>(a, input, output, residual, w, bias, y, c);
          continue;
        }
      }
      Block<R, kClipRows, false>(a, input, output, residual, w, bias, y, c);
    }
  }

  static ALCS_INLINE void Channel(const WindowArgs<typename V::P>& a, int64_t channel,
                                  const T* input, T* output, const T* residual,
                                  const Columns* columns, int count) {
    Reg w[K * K];
    Unroll<0, kMax ? 0 : K * K>(
        [&](auto i) ALCS_INLINE_LAMBDA { w[i] = V::Set1(a.weights[channel * K * K + i]); });
    Reg start;
    if constexpr (kMax) {
      start = V::Set1(kOutside);
    } else {
      start = V::Set1(a.bias[channel]);
    }

    int64_t y = 0;
    while (y < a.out_height) {
      // Rather than few rows at the end, many of which some are done again: not where the output
      // is also the residual.
      const bool move = y + kBlockRows > a.out_height && y >= kBlockRows && residual == nullptr;
      const int64_t first = move ? a.out_height - kBlockRows : y;
      const int64_t above = a.pad_top - first * kStride;
      const int64_t below = (kBlockRows - 1) * kStride + K - above - a.in_height;
      if (first + kBlockRows > a.out_height || above >= K || below >= K) {
        BlockRow<1, true>(a, input, output, residual, w, start, y, columns, count);
        ++y;
        continue;
      }
      if (above <= 0 && below <= 0) {
        BlockRow<kBlockRows, false>(a, input, output, residual, w, start, first, columns, count);
      } else {
        BlockRow<kBlockRows, true>(a, input, output, residual, w, start, first, columns, count);
      }
      y = first + kBlockRows;
    }
  }

  static ALCS_NOINLINE void Run(const WindowArgs<typename V::P>& a) {
    using Narrow = typename V::Narrow;
    if constexpr (Narrow::N < N) {
      if (a.out_width <= Narrow::N) return WindowBody<Narrow, K, kStride, kOp>::Run(a);
    }
    Columns columns[kVectors];
    for (int64_t out = 0; out < a.out_width; out += kVectors * N) {
      int count = 0;
      for (; count < kVectors && out + count * N < a.out_width; ++count) {
        columns[count] = MakeColumns(a, out + count * N);
      }
      // A division for each channel would take as long as a small image.
      const int64_t pixels = a.out_height * a.out_width;
      const T* input = a.input + a.first_channel / a.multiplier * a.in_height * a.in_width;
      T* output = a.output + a.first_channel * pixels;
      const T* residual = a.residual != nullptr ? a.residual + a.first_channel * pixels : nullptr;
      int64_t of_input = a.first_channel % a.multiplier;
      for (int64_t channel = a.first_channel; channel < a.last_channel; ++channel) {
        Channel(a, channel, input, output, residual, columns, count);
        output += pixels;
        if (residual != nullptr) residual += pixels;
        if (++of_input == a.multiplier) {
          of_input = 0;
          input += a.in_height * a.in_width;
        }
      }
    }
  }
};

}  // namespace
}  // namespace kernels
}  // namespace alcs

#endif  // ALCS_SRC_KERNELS_WINDOW_H_
