// Tiles of output pixels.
#ifndef ALCS_SRC_TILES_H_
#define ALCS_SRC_TILES_H_

#include <vector>

#include "kernels/kernel_api.h"

namespace alcs {

// Cuts an output of height x out_width into tiles of `shape`. `width` is that of a row in the
// input.
std::vector<kernels::Tile> MakeTiles(const kernels::TileShape& shape, int64_t height,
                                     int64_t out_width, int64_t width);

// What a tile multiplies per column and row; the quads count as one.
inline int64_t RegistersPerRow(const kernels::Tile& tile) {
  return tile.vectors + (tile.quad > 0 ? 1 : 0);
}

}  // namespace alcs

#endif  // ALCS_SRC_TILES_H_
