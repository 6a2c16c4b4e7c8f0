#include "tiles.h"

#include <algorithm>

#include "sizes.h"

namespace alcs {
namespace {

using kernels::Tile;
using kernels::TileShape;

// One run of pixels, in the input as in the output.
std::vector<Tile> InOneRun(const TileShape& shape, int64_t pixels) {
  const int64_t lanes = shape.lanes, rest = pixels % lanes;
  const bool quad = rest > 0 && rest <= 4 && shape.quad;
  const int64_t vectors = pixels / lanes + (rest > 0 && !quad ? 1 : 0);
  const int64_t count = std::max<int64_t>(1, CeilDiv(vectors, shape.max_vectors));
  std::vector<Tile> tiles;
  // The longer tiles come last, so that a vector that is moved back overlaps its own tile only.
  int64_t at = 0;
  for (int64_t i = 0; i < count; ++i) {
    Tile tile;
    tile.in = tile.out = at;
    tile.vectors = static_cast<int32_t>(vectors / count + (i >= count - vectors % count));
    at += tile.vectors * lanes;
    if (i == count - 1 && quad) {
      tile.quad = static_cast<int32_t>(rest);
    } else if (i == count - 1 && rest > 0) {
      tile.mode = kernels::kTail;
      const bool move = !shape.masks && pixels >= lanes;
      tile.tail_lanes = static_cast<int32_t>(move ? lanes : rest);
      tile.tail_shift = static_cast<int32_t>(move ? lanes - rest : 0);
    }
    tiles.push_back(tile);
  }
  return tiles;
}

// Whole vectors, row by row; the last of a row moves back to end with it.
std::vector<Tile> InRows(const TileShape& shape, int64_t height, int64_t out_width, int64_t width) {
  std::vector<Tile> tiles;
  const auto push = [&](int64_t y, int64_t x, bool open_new) {
    const int64_t in = y * width + x, out = y * out_width + x;
    if (open_new) {
      tiles.emplace_back();
      tiles.back().mode = kernels::kRows;
      tiles.back().in = in;
      tiles.back().out = out;
    }
    Tile& tile = tiles.back();
    tile.in_at[tile.vectors] = static_cast<int32_t>(in - tile.in);
    tile.out_at[tile.vectors] = static_cast<int32_t>(out - tile.out);
    ++tile.vectors;
  };
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < out_width; x += shape.lanes) {
      const bool full = tiles.empty() || tiles.back().vectors == shape.max_vectors;
      if (x + shape.lanes <= out_width) {
        push(y, x, full);
        continue;
      }
      if (full) {  // it takes along the vector that it overlaps: one tile is one task
        --tiles.back().vectors;
        push(y, x - shape.lanes, true);
      }
      push(y, out_width - shape.lanes, false);
    }
  }
  return tiles;
}

// One run in the input, squeezed out at the store.
std::vector<Tile> Compressed(const TileShape& shape, int64_t height, int64_t out_width,
                             int64_t width) {
  const int64_t end = (height - 1) * width + out_width;
  const int64_t vectors = CeilDiv(end, shape.lanes);
  const int64_t count = CeilDiv(vectors, shape.max_vectors);
  // Outputs before position `at` of the input plane.
  const auto outputs_before = [&](int64_t at) {
    return at / width * out_width + std::min(at % width, out_width);
  };
  std::vector<Tile> tiles;
  int64_t at = 0;
  for (int64_t i = 0; i < count; ++i) {
    Tile tile;
    tile.mode = kernels::kCompress;
    tile.in = at;
    tile.out = outputs_before(at);
    tile.vectors = static_cast<int32_t>(vectors / count + (i >= count - vectors % count));
    for (int32_t s = 0; s < tile.vectors; ++s, at += shape.lanes) {
      tile.out_at[s] = static_cast<int32_t>(outputs_before(at) - tile.out);
      for (int64_t lane = 0; lane < shape.lanes; ++lane) {
        if (at + lane < end && (at + lane) % width < out_width) {
          tile.lanes[s] |= 1U << static_cast<unsigned>(lane);
        }
      }
    }
    tiles.push_back(tile);
  }
  return tiles;
}

}  // namespace

std::vector<Tile> MakeTiles(const TileShape& shape, int64_t height, int64_t out_width,
                            int64_t width) {
  std::vector<Tile> tiles;
  if (width == out_width) {
    tiles = InOneRun(shape, height * out_width);
  } else if (!shape.compress || out_width % shape.lanes == 0) {
    tiles = InRows(shape, height, out_width, width);
  } else {
    tiles = Compressed(shape, height, out_width, width);
  }
  // A tile's outputs end where the next one's begin.
  int64_t end = height * out_width;
  for (auto tile = tiles.rbegin(); tile != tiles.rend(); ++tile) {
    tile->outputs = static_cast<int32_t>(end - tile->out);
    end = tile->out;
  }
  return tiles;
}

}  // namespace alcs
