// The sparse convolution kernel, over any vector type (see vec_scalar.h).
//
// A register tile of G output channels x S vectors of output pixels is accumulated over the stored
// columns of one block (ALCS, section III-B2): per column, S vectors of input are loaded at the
// column's offset and each is multiplied by the G weights.
#ifndef ALCS_SRC_KERNELS_TILE_H_
#define ALCS_SRC_KERNELS_TILE_H_

#include "kernels/finish.h"
#include "kernels/kernel_api.h"
#include "kernels/macros.h"
#include "kernels/unroll.h"

namespace alcs {
namespace kernels {
namespace {

// In a network every layer's weights have left the near caches since the last run, and hardware
// prefetchers start over at each page: bytes to run ahead of the weights.
constexpr int kWeightsAhead = 2048;

template <class V, int G, int S, TileMode kMode, bool kQuad>
struct TileBody {
  using T = typename V::T;
  using Reg = typename V::Reg;
  static constexpr int N = V::N;
  static constexpr int kQuads = kQuad ? G / 4 : 0;
  // With 16 registers the tile takes all: unrolling makes compilers spill accumulators.
  static constexpr bool kTwoColumns = G >= 8 && S > 0 && !V::kOneAddress;
  static constexpr int kColumnsPerStep = V::kRegisters <= 16 ? 1 : kTwoColumns ? 2 : 4;
  // In an image of so few pixels that there is nothing but the quads, each sum is split, or its
  // multiply-adds would wait for one another.
  static constexpr int kChains = S == 0 ? kColumnsPerStep : 1;

  using P = typename V::P;
  using Weight = typename P::Weight;

  static ALCS_NOINLINE void Run(const TileArgs<P>& a) {
    const Tile& tile = *a.tile;
    typename V::Sum acc[G][S > 0 ? S : 1];
    Reg quad[kQuads > 0 ? kQuads : 1][kChains];
    Unroll<0, G>([&](auto g) ALCS_INLINE_LAMBDA {
      const typename V::Sum bias = V::Start(a.bias[g]);
      Unroll<0, S>([&](auto s) ALCS_INLINE_LAMBDA { acc[g][s] = bias; });
    });
    if constexpr (kQuads > 0) {
      Unroll<0, kQuads>([&](auto j) ALCS_INLINE_LAMBDA {
        quad[j][0] = V::RepeatFour(a.bias + 4 * j);
        Unroll<1, kChains>([&](auto i) ALCS_INLINE_LAMBDA { quad[j][i] = V::Set1(0); });
      });
    }

    const auto tail = V::MakeTail(kMode == kTail ? tile.tail_lanes : N);
    const int64_t last_shift = kMode == kTail && !V::kMasks ? tile.tail_shift : 0;
    const int quad_pixels = tile.quad;
    const T* in = a.input + tile.in;
    const T* row[S > 0 ? S : 1];
    if constexpr (kMode == kRows) {
      Unroll<0, S>([&](auto s) ALCS_INLINE_LAMBDA { row[s] = in + tile.in_at[s]; });
    }

    const T* const last = in + (S - 1) * N - last_shift;
    const auto column = [&]([[maybe_unused]] auto chain, int64_t offset,
                            const Weight* weights) ALCS_INLINE_LAMBDA {
      const T* at = in + offset;
      if constexpr (V::kOneAddress && kMode != kRows) ALCS_KEEP_ADDRESS(at);
      typename V::Input x[S > 0 ? S : 1];
      Unroll<0, S>([&](auto s) ALCS_INLINE_LAMBDA {
        Reg loaded;
        if constexpr (kMode == kRows) {
          loaded = V::Load(row[s] + offset);
        } else if constexpr (kMode == kTail && s == S - 1 && V::kMasks) {
          loaded = V::LoadTail(at + s * N, tail);
        } else if constexpr (kMode == kTail && s == S - 1) {
          loaded = V::Load(last + offset);
        } else {
          loaded = V::Load(at + s * N);
        }
        ALCS_KEEP_IN_REGISTER(loaded);
        x[s] = V::MakeInput(loaded);
      });
      const typename V::template Weights<G> w(weights);
      Unroll<0, G>([&](auto g) ALCS_INLINE_LAMBDA {
        const auto wg = w.template Get<g>();
        Unroll<0, S>([&](auto s)
                         ALCS_INLINE_LAMBDA { acc[g][s] = V::MultiplyAdd(wg, x[s], acc[g][s]); });
      });
      if constexpr (kQuads > 0) {
        const Reg pixels = V::SpreadPixels(in + offset + S * N, quad_pixels);
        Unroll<0, kQuads>([&](auto j) ALCS_INLINE_LAMBDA {
          Reg& sum = quad[j][chain % kChains];
          sum = V::Fma(V::RepeatFour(weights + 4 * j), pixels, sum);
        });
      }
    };

    const int32_t* offset = a.offsets;
    const int32_t* const end = offset + a.count;
    const int32_t* const end_of_steps = end - a.count % kColumnsPerStep;
    const Weight* w = a.weights;
    while (offset != end_of_steps) {
      ALCS_PREFETCH_READ(reinterpret_cast<const char*>(w) + kWeightsAhead);
      Unroll<0, kColumnsPerStep>([&](auto i)
                                     ALCS_INLINE_LAMBDA { column(i, offset[i], w + i * G); });
      offset += kColumnsPerStep;
      w += kColumnsPerStep * G;
    }
    for (; offset != end; ++offset, w += G) column(Int<0>(), *offset, w);

    // The epilogue walks the accumulators in whole passes, so that none leaves its register.
    const auto place = [&](auto s) ALCS_INLINE_LAMBDA -> int64_t {
      if constexpr (kMode == kRows || kMode == kCompress) {
        return tile.out_at[s];
      } else {
        return s * N - (s == S - 1 ? last_shift : 0);
      }
    };
    typename V::Tail packed[S > 0 ? S : 1] = {};
    if constexpr (kMode == kCompress) {
      Unroll<0, S>([&](auto s) ALCS_INLINE_LAMBDA {
        packed[s] = V::MakeTail(__builtin_popcount(tile.lanes[s]));
      });
    }
    const auto plane_of = [&](auto* channel_0, int plane)
                              ALCS_INLINE_LAMBDA { return channel_0 + tile.out + a.row_at[plane]; };
    const auto load = [&](const T* from, auto s) ALCS_INLINE_LAMBDA -> Reg {
      if constexpr (kMode == kCompress) {
        return V::Expand(tile.lanes[s], V::LoadTail(from + place(s), packed[s]));
      } else if constexpr (kMode == kTail && s == S - 1) {
        return V::LoadTail(from + place(s), tail);
      } else {
        return V::Load(from + place(s));
      }
    };
    const auto store = [&](T* to, auto s, Reg v) ALCS_INLINE_LAMBDA {
      if constexpr (kMode == kCompress) {
        // What lies behind is stored next, but for another tile's.
        const Reg together = V::Compress(tile.lanes[s], v);
        if (place(s) + N <= tile.outputs) {
          V::Store(to + place(s), together);
        } else {
          V::StoreTail(to + place(s), together, packed[s]);
        }
      } else if constexpr (kMode == kTail && s == S - 1) {
        V::StoreTail(to + place(s), v, tail);
      } else {
        V::Store(to + place(s), v);
      }
    };
    Finish<V>(a, acc, Int<S>(), plane_of, load, store);
    if constexpr (kQuads > 0) {
      Unroll<0, kQuads>([&](auto j) ALCS_INLINE_LAMBDA {
        const int64_t at = tile.out + S * N;
        Unroll<1, kChains>([&](auto i)
                               ALCS_INLINE_LAMBDA { quad[j][0] = V::Add(quad[j][0], quad[j][i]); });
        V::FinishQuad(quad[j][0], a.epilogue, quad_pixels,
                      a.residual != nullptr ? a.residual + at : nullptr, a.output + at,
                      a.row_at + 4 * j);
      });
    }
  }
};

template <class V, int G, int S>
constexpr void FillTileFunctions(TileKernel<typename V::P>* kernel) {
  kernel->run[S][kFull][0] = TileBody<V, G, S, kFull, false>::Run;
  kernel->run[S][kTail][0] = TileBody<V, G, S, kTail, false>::Run;
  kernel->run[S][kRows][0] = TileBody<V, G, S, kRows, false>::Run;
  if constexpr (V::kCompress) {
    kernel->run[S][kCompress][0] = TileBody<V, G, S, kCompress, false>::Run;
  }
  if constexpr (V::kQuad && G % 4 == 0) {
    kernel->run[S][kFull][1] = TileBody<V, G, S, kFull, true>::Run;
  }
  if constexpr (S > 1) {
    FillTileFunctions<V, G, S - 1>(kernel);
  } else if constexpr (V::kQuad && G % 4 == 0) {  // an image of 1 to 4 pixels
    kernel->run[0][kFull][1] = TileBody<V, G, 0, kFull, true>::Run;
  }
}

template <class V, int G, int kVectors>
constexpr TileKernel<typename V::P> MakeTileKernel(const char* name, double cost) {
  static_assert(G <= kMaxRows && kVectors <= kMaxVectors, "tile descriptors hold that many");
  TileKernel<typename V::P> kernel{
      name,
      G,
      cost,
      {V::N, kVectors, V::kMasks, V::kCompress, V::kQuad && G % 4 == 0, V::kInputOffset == 0},
      nullptr,
      V::kInputOffset,
      {}};
  if constexpr (V::kSplitWeights) kernel.split = V::template SplitWeights<G>;
  FillTileFunctions<V, G, kVectors>(&kernel);
  return kernel;
}

}  // namespace
}  // namespace kernels
}  // namespace alcs

#endif  // ALCS_SRC_KERNELS_TILE_H_
