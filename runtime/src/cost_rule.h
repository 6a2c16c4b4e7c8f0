// Every choice between two ways of computing a layer, in one place, with what was measured.
//
// The figures are from a Zen 4 (AVX-512 on 256-bit data paths), layers of ResNet and MobileNet;
// runtime/bench shows them for any machine. A choice that is wrong costs time, never correctness.
#ifndef ALCS_SRC_COST_RULE_H_
#define ALCS_SRC_COST_RULE_H_

#include <algorithm>
#include <cstdint>

#include "alcs/conv.h"
#include "registry.h"

namespace alcs {
namespace cost {

// Rows that no tile is tall enough for are cut, tallest tile first. Time of `columns` columns of so
// many rows, for one vector of pixels, by the costs in the registry.
template <class P>
double OfBlock(const Rows<TileKernel<P>>& tiles, int64_t rows, int64_t columns) {
  double cost = 0;
  for (const auto& tile : tiles) {
    cost += static_cast<double>(rows / tile.kernel->rows) * tile.kernel->cost;
    rows %= tile.kernel->rows;
  }
  return cost * static_cast<double>(columns);
}

// Whether two blocks are better stored as one, with zeros where only one has a column. A block of
// one row reaches 30 to 40 % of the peak, one of four 90 %: unstructured weights gain by it down to
// a density of about 0.25.
template <class P>
bool Merge(const Rows<TileKernel<P>>& tiles, int64_t rows_a, int64_t columns_a, int64_t rows_b,
           int64_t columns_b, int64_t columns_together) {
  return rows_a + rows_b <= tiles.front().kernel->rows &&
         OfBlock(tiles, rows_a + rows_b, columns_together) <
             OfBlock(tiles, rows_a, columns_a) + OfBlock(tiles, rows_b, columns_b);
}

// Whether an input is copied once per kernel column, so that no pixels between the rows are
// computed, rather than once per stride phase. `columns` of the kernel are used, and rows are
// `between` pixels apart if it is not. Where no store can squeeze those pixels out, the last vector
// of each row is partly done twice: worth avoiding in rows of few vectors. With quads the copies of
// narrow images are small (AVX-512, 7 x 7: 390 -> 338 us for the layer). Else they pay where that
// saves vectors and what a tile reads of them, `channels` by `tap_rows`, about fits the first-level
// cache (AVX2 at 14 x 14: integers of 256 channels 3 % faster, floats 17 % slower).
struct Copying {
  int64_t out_height, out_width, between;
  int64_t channels, tap_rows, columns;
};
inline bool CopyPerColumn(const kernels::TileShape& tile, const Copying& c) {
  constexpr int64_t kNarrow = 14, kFewBytes = 48 * 1024, kWord = 4;
  if (tile.quad) return c.out_width <= kNarrow;
  if (!tile.compress) {
    return c.out_width <= kNarrow ||
           (c.out_width % tile.lanes != 0 && c.out_width <= 4 * tile.lanes);
  }
  const auto vectors = [&](int64_t between) {
    return ((c.out_height - 1) * (c.out_width + between) + c.out_width) / tile.lanes + 1;
  };
  constexpr double kWorthwhile = 0.95;
  const int64_t pixels = tile.max_vectors * tile.lanes + (c.tap_rows - 1) * c.out_width;
  return c.columns * c.channels * pixels * kWord <= kFewBytes &&
         static_cast<double>(vectors(0)) < kWorthwhile * static_cast<double>(vectors(c.between));
}

// A prepared input of more words than this leaves the second-level cache, and is prepared band by
// band just before it is used, in bands of at most half as many words unless those would be fewer
// vectors than fill the tiles; never fewer bands than threads can share.
constexpr int64_t kMaxPreparedWords = 128 * 1024;
// Time to prepare a vector of input, of the time to compute one of output: a few per cent.
constexpr double kPreparePerVector = 0.05;
constexpr int64_t kMinBandVectors = 24;
constexpr int64_t kMinBands = 8;

// Whether each thread prepares the whole input, of so many words, for itself, ahead of so many
// multiply-adds of vectors. To share one, each line has to be taken back from the caches of the
// other cores before it is written again: on two cores 15 -> 63 us at 28 x 28, 25 -> 147 us at
// 7 x 7, several times what the copy itself takes. (Not measured on more than two.) A layer that
// computes little shares all the same.
inline bool PrepareAlone(int64_t words, double ops) {
  return words <= 256 * 1024 && ops >= 4 * static_cast<double>(words);
}

// Into how many parts to cut the input channels, each part used by all blocks before the next. A
// tile of few pixels asks more of the second-level cache than it gives when its input on all
// channels, `channel_bytes` each, is not in the first. A part of few columns spends its time on
// loading and storing sums (AVX2, 1x1, 512 -> 128 at 28 x 28, density 0.3 in 2 parts: 74 -> 69 %).
// `most` is a property of the instruction set (alcs/isas.inc): 4 on AVX2 (3x3 at 56 x 56: 73 -> 82
// % of the peak), 1 on AVX-512, whose wide tiles never gain (3 to 10 % slower), and 1 on NEON,
// where it was not measured. Sums that are `spread` over an output, with others in between, take
// longer to load and store (3x3 at 14 x 14 in 4 parts: 83 -> 80 %).
inline int64_t InputParts(int64_t most, bool spread, int64_t channels, int64_t channel_bytes,
                          int64_t columns_per_block) {
  constexpr int64_t kFirstCache = 24 * 1024;
  constexpr int64_t kMinColumns = 128;
  const int64_t wanted = (channels * channel_bytes + kFirstCache - 1) / kFirstCache;
  constexpr int64_t kMostSpread = 2;
  if (wanted > (spread ? std::min(most, kMostSpread) : most)) return 1;
  return std::max<int64_t>(1, std::min(wanted, columns_per_block / kMinColumns));
}

// Whether pointwise layers copy an input that they could read in place: channels whole pages apart
// lie in the same sets of the first-level cache, which hold 8 of them (256 -> 256 at 32 x 32 on
// AVX2: floats 2.5 -> 1.9 ms, integers 1.03 -> 0.81).
inline bool Crowded(int64_t channels, int64_t channel_words) {
  constexpr int64_t kPage = 4096 / 4, kWays = 8;
  return channels > kWays && channel_words % kPage == 0;
}

// How many of `tiles` a block does before the next block does the same ones, when they read
// `tile_bytes` each and `halo_bytes` more in common. One at a time, the outputs of a tile are short
// pieces of as many pages as there are channels; several make them long runs, and use a block's
// weights again while they are near (1x1, 32 -> 64 at 112 x 112: 670 -> 450 us in the network;
// 64 -> 256 at 56 x 56: 540 -> 360). The inputs should stay in the second-level cache: between 64
// and 512 KB networks differ by 2 %. Images of few tiles gain nothing (14 x 14: 0 to 5 % slower),
// and an input that is cut into parts for the first-level cache would leave it.
inline int64_t TilesAtOnce(int64_t tiles, int64_t parts, int64_t tile_bytes, int64_t halo_bytes) {
  constexpr int64_t kInput = 192 * 1024;
  constexpr int64_t kFewTiles = 4;
  const int64_t most = (kInput - halo_bytes) / tile_bytes;
  if (parts > 1 || tiles <= kFewTiles || most <= 1) return 1;
  const int64_t rounds = (tiles + most - 1) / most;
  return (tiles + rounds - 1) / rounds;
}

// Tasks: enough for any pool to share out evenly, each long enough to be worth handing over.
constexpr int64_t kMaxTasks = 32;
constexpr int64_t kMinTaskOps = 60000;        // vector multiply-adds: about 20 microseconds
constexpr int64_t kMinTaskWords = 64 * 1024;  // copied or compared: the same
// The bias, activation and store of a block take as long as so many columns.
constexpr int64_t kColumnsPerStore = 4;

// Outputs of a depthwise layer that are gated before the next ones are computed: they are then
// still in the first-level cache.
constexpr int64_t kGatedWords = 4 * 1024;

}  // namespace cost
}  // namespace alcs

#endif  // ALCS_SRC_COST_RULE_H_
