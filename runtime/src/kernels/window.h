// Depthwise convolution and max pooling with a square window, over any vector type (see
// vec_scalar.h).
//
// R rows x one vector of output pixels are accumulated while walking down the input rows, so each
// loaded vector serves every output row that it touches. Padding is a matter of edge loads and
// skipped rows: the input is not copied.
#ifndef ALCS_SRC_KERNELS_WINDOW_H_
#define ALCS_SRC_KERNELS_WINDOW_H_

#include <limits>

#include "kernels/finish.h"
#include "kernels/kernel_api.h"
#include "kernels/macros.h"
#include "kernels/prepare.h"
#include "kernels/unroll.h"

namespace alcs {
namespace kernels {
namespace {

enum class WindowOp { kConvolve, kMax };

template <class V, int K, int kStride, WindowOp kOp>
struct WindowBody {
  static_assert(kStride == 1 || kStride == 2, "other strides have no kernels of their own");
  using P = typename V::P;
  using Args = WindowArgs<P>;
  using T = typename V::T;
  using Reg = typename V::Reg;
  using Sum = typename V::WindowSum;  // of a vector of pixels
  static constexpr int N = V::N;
  static constexpr bool kMax = kOp == WindowOp::kMax;
  static constexpr bool kWords = P::kChannels > 1;  // integers, four channels at a time
  static_assert(!kMax || !kWords, "the largest of words is not that of their channels");
  // What counts as the value of a pixel outside the image; of integers it is an argument.
  static constexpr T kOutside = kMax ? -std::numeric_limits<T>::infinity() : T(0);
  static constexpr int kBlockRows = V::kWindowRows;
  static constexpr int kVectors = 16;  // of a column chunk, whose edges are worked out only once
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
    T no_pixel;                                // the value of one outside
  };

  static constexpr int LoadAt(int i) { return kStride == 1 ? i : i * N; }

  static ALCS_INLINE Columns MakeColumns(const Args& a, int64_t out) {
    Columns c;
    c.out = out;
    c.no_pixel = kWords ? a.outside : kOutside;
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
        loaded[i] = LoadPadded<V>(row, c.edge[i], V::Set1(c.no_pixel));
        if constexpr (kMax) loaded[i] = V::Add(loaded[i], c.outside[i]);
      }
    });
    Unroll<0, K>([&](auto k) ALCS_INLINE_LAMBDA {
      if constexpr (kStride == 1) {
        x[k] = loaded[k];
      } else if constexpr (k == 0) {
        x[k] = V::Even(loaded[0], loaded[1]);
      } else if constexpr (k == 1) {
        x[k] = V::Odd(loaded[0], loaded[1]);
      } else {
        const T* next = row + c.start + 2 * N + k - 2;
        x[k] = V::ShiftIn(x[k - 2], kInside || c.single[k - 2] ? next : &c.no_pixel);
      }
      ALCS_KEEP_IN_REGISTER(x[k]);
    });
  }

  // Adds an input row, whose taps are x, to the sums of those of R output rows that it touches: it
  // is the kernel's row kRow of the first.
  template <int R, int kRow, class Weights>
  static ALCS_INLINE void AddRow(Reg (&x)[K], const Weights& w, Sum (&acc)[R]) {
    const auto for_each = [&](auto add) ALCS_INLINE_LAMBDA {
      Unroll<0, R>([&](auto r) ALCS_INLINE_LAMBDA {
        constexpr int kTapRow = kRow - r * kStride;
        if constexpr (kTapRow >= 0 && kTapRow < K) add(r, Int<kTapRow>());
      });
    };
    if constexpr (kMax) {
      Reg most = V::Set1(kOutside);  // a NaN counts as no pixel
      Unroll<0, K>([&](auto k) ALCS_INLINE_LAMBDA { most = V::Larger(most, x[k]); });
      for_each([&](auto r, auto) ALCS_INLINE_LAMBDA { acc[r] = V::Max(acc[r], most); });
    } else if constexpr (kWords) {
      constexpr int kPairs = WindowPairs(K);
      Unroll<0, kPairs>([&](auto j) ALCS_INLINE_LAMBDA {
        constexpr int kSecond = 2 * j + 1;
        const auto pair =
            V::PairTaps(x[2 * j], kSecond < K ? x[kSecond < K ? kSecond : 0] : V::Set1(int32_t{0}));
        for_each([&](auto r, auto row) ALCS_INLINE_LAMBDA {
          acc[r] = V::AddPair(pair, w + (row * kPairs + j) * P::kChannels, acc[r]);
        });
      });
    } else {
      for_each([&](auto r, auto row) ALCS_INLINE_LAMBDA {
        Unroll<0, K>([&](auto k)
                         ALCS_INLINE_LAMBDA { acc[r] = V::Fma(w[row * K + k], x[k], acc[r]); });
      });
    }
  }

  // R output rows from `y`. kClipRows: some of the first and of the last K - 1 input rows may lie
  // outside; others only if R is 1. `start` is what sums begin with.
  template <int R, bool kClipRows, bool kInside, class Weights>
  static ALCS_INLINE void Block(const Args& a, const T* input, T* output, const T* residual,
                                const Weights& w, const Sum& start, int64_t channel, int64_t y,
                                const Columns& c) {
    Sum acc[R];
    Unroll<0, R>([&](auto r) ALCS_INLINE_LAMBDA { acc[r] = start; });
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
      // What lies outside adds nothing to floats; what integers begin with counts on it.
      if (kWords || !outside) {
        Reg x[K];
        if (outside) {
          Unroll<0, K>([&](auto k) ALCS_INLINE_LAMBDA { x[k] = V::Set1(c.no_pixel); });
        } else {
          LoadTaps<kInside>(row, c, x);
        }
        AddRow<R, i>(x, w, acc);
      }
      row += a.in_width;
    });
    const int64_t at = y * a.out_width + c.out;
    T* to = output + at;
    const auto added = [&](auto r) ALCS_INLINE_LAMBDA {
      return V::LoadTail(residual + at + r * a.out_width, c.tail);
    };
    const auto store = [&](Reg v) ALCS_INLINE_LAMBDA {
      if constexpr (kInside) {
        V::Store(to, v);
      } else {
        V::StoreTail(to, v, c.tail);
      }
      to += a.out_width;
    };
    FinishWindow<V>(a, channel, acc, residual != nullptr, added, store);
  }

  template <int R, bool kClipRows, class Weights>
  static ALCS_INLINE void BlockRow(const Args& a, const T* input, T* output, const T* residual,
                                   const Weights& w, const Sum& start, int64_t channel, int64_t y,
                                   const Columns* columns, int count) {
    for (int i = 0; i < count; ++i) {
      const Columns& c = columns[i];
      if constexpr (!V::kFreeEdges) {
        if (c.inside) {
          Block<R, kClipRows, true>(a, input, output, residual, w, start, channel, y, c);
          continue;
        }
      }
      Block<R, kClipRows, false>(a, input, output, residual, w, start, channel, y, c);
    }
  }

  // One plane of outputs, with the weights `w` and what sums begin with.
  template <class Weights>
  static ALCS_INLINE void Rows(const Args& a, int64_t channel, const T* input, T* output,
                               const T* residual, const Weights& w, const Sum& start,
                               const Columns* columns, int count) {
    int64_t y = 0;
    while (y < a.out_height) {
      // Rather than few rows at the end, many of which some are done again: not where the output
      // is also the residual.
      const bool move = y + kBlockRows > a.out_height && y >= kBlockRows && residual == nullptr;
      const int64_t first = move ? a.out_height - kBlockRows : y;
      const int64_t above = a.pad_top - first * kStride;
      const int64_t below = (kBlockRows - 1) * kStride + K - above - a.in_height;
      if (first + kBlockRows > a.out_height || above >= K || below >= K) {
        BlockRow<1, true>(a, input, output, residual, w, start, channel, y, columns, count);
        ++y;
        continue;
      }
      if (above <= 0 && below <= 0) {
        BlockRow<kBlockRows, false>(a, input, output, residual, w, start, channel, first, columns,
                                    count);
      } else {
        BlockRow<kBlockRows, true>(a, input, output, residual, w, start, channel, first, columns,
                                   count);
      }
      y = first + kBlockRows;
    }
  }

  static ALCS_INLINE void Channel(const Args& a, int64_t channel, const T* input, T* output,
                                  const T* residual, const Columns* columns, int count) {
    if constexpr (kWords) {
      const auto* w = a.weights + channel * K * WindowPairs(K) * P::kChannels;
      const Sum start = V::StartWindow(a.bias + channel * P::kChannels);
      Rows(a, channel, input, output, residual, w, start, columns, count);
    } else {
      Reg w[K * K];
      Unroll<0, kMax ? 0 : K * K>(
          [&](auto i) ALCS_INLINE_LAMBDA { w[i] = V::Set1(a.weights[channel * K * K + i]); });
      T start = kOutside;
      if constexpr (!kMax) start = a.bias[channel];
      Rows(a, channel, input, output, residual, w, V::Set1(start), columns, count);
    }
  }

  static ALCS_NOINLINE void Run(const Args& a) {
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
