// Copies of the input in which every tap of a kernel is a constant offset (see PrepareArgs).
#ifndef ALCS_SRC_KERNELS_PREPARE_H_
#define ALCS_SRC_KERNELS_PREPARE_H_

#include "kernels/kernel_api.h"
#include "kernels/macros.h"

namespace alcs {
namespace kernels {
namespace {

template <class T>
ALCS_INLINE void Fill(T* from, const T* to, T value) {
  for (; from != to; ++from) *from = value;
}

// The zero of floats is what edge loads give of themselves.
template <class V>
ALCS_INLINE typename V::Reg LoadPadded(const typename V::T* row, const typename V::Edge& edge,
                                       [[maybe_unused]] typename V::Reg outside) {
  if constexpr (V::kZeroIsOutside) {
    return V::LoadEdge(row, edge);
  } else {
    return V::LoadEdge(row, edge, outside);
  }
}

// One plane of one channel. Vectors are stored whole: what a row's last vector spills over lies in
// rows and planes that are written later, or in the slack at the end of the channel. So columns go
// from right to left, and in a plane at most one vector wide, rows go down.
template <class V, int kStride>
ALCS_INLINE void PreparePlane(const PrepareArgs<typename V::P>& a, const typename V::T* channel,
                              typename V::T* plane, int64_t row_start, int64_t column_start) {
  using T = typename V::T;
  constexpr int N = V::N;
  const T filling = V::ForPlanes(a.outside);
  // Rows [first, last) come from the input.
  int64_t first = row_start < 0 ? (-row_start + a.row_stride - 1) / a.row_stride : 0;
  int64_t last = (a.in_height - row_start + a.row_stride - 1) / a.row_stride;
  first = first < a.rows ? first : a.rows;
  last = last < first ? first : (last < a.rows ? last : a.rows);

  Fill<T>(plane, plane + first * a.width, filling);
  const int64_t source_step = a.row_stride * a.in_width;
  const T* const source = channel + (first * a.row_stride + row_start) * a.in_width;
  if constexpr (kStride == 0) {
    const T* from = source;
    for (int64_t j = first; j < last; ++j, from += source_step) {
      for (int64_t i = 0; i < a.width; ++i) {
        const int64_t x = i * a.column_stride + column_start;
        const bool inside = x >= 0 && x < a.in_width;
        plane[j * a.width + i] = inside ? V::ForPlanes(from[x]) : filling;
      }
    }
  } else {
    const auto outside = V::Set1(a.outside);
    for (int64_t i = (a.width - 1) / N * N; i >= 0; i -= N) {
      const int64_t x = i * kStride + column_start;
      const T* from = source;
      T* to = plane + first * a.width + i;
      T* const end = plane + last * a.width + i;
      if (!V::kFreeEdges && x >= 0 && x + kStride * N <= a.in_width) {
        for (; to != end; to += a.width, from += source_step) {
          auto words = V::Load(from + x);
          if constexpr (kStride == 2) words = V::Even(words, V::Load(from + x + N));
          V::Store(to, V::ForPlanes(words));
        }
        continue;
      }
      const auto edge = V::MakeEdge(x, a.in_width);
      const auto edge2 = V::MakeEdge(x + N, a.in_width);
      for (; to != end; to += a.width, from += source_step) {
        auto words = LoadPadded<V>(from, edge, outside);
        if constexpr (kStride == 2) words = V::Even(words, LoadPadded<V>(from, edge2, outside));
        V::Store(to, V::ForPlanes(words));
      }
    }
  }
  Fill<T>(plane + last * a.width, plane + a.plane_stride, filling);
}

template <class V, int kStride>
ALCS_NOINLINE void Prepare(const PrepareArgs<typename V::P>& a) {
  static_assert(kStride >= 0 && kStride <= 2, "0 stands for any stride");
  for (int64_t c = 0; c < a.channels; ++c) {
    const auto* channel = a.input + c * a.in_height * a.in_width;
    auto* plane = a.planes + c * a.channel_stride;
    for (int64_t row = 0; row < a.row_planes; ++row) {
      for (int64_t column = 0; column < a.column_planes; ++column, plane += a.plane_stride) {
        PreparePlane<V, kStride>(a, channel, plane, a.row_start[row] + a.row_offset,
                                 a.column_start[column]);
      }
    }
  }
}

}  // namespace
}  // namespace kernels
}  // namespace alcs

#endif  // ALCS_SRC_KERNELS_PREPARE_H_
