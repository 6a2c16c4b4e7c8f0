// What a convolution by register tiles comes to for one input size: offsets, tiles and tasks.
#ifndef ALCS_SRC_TILED_PLAN_H_
#define ALCS_SRC_TILED_PLAN_H_

#include <string>
#include <vector>

#include "input_planes.h"
#include "packing.h"
#include "registry.h"
#include "tasks.h"

namespace alcs {

// A layer, whatever the size of its input. `spec` counts words in the place of input channels.
template <class P>
struct TiledLayer {
  ConvSpec spec;
  Isa isa;
  typename P::Epilogue epilogue;
  typename P::Word outside;        // what pixels outside the image are
  Registered<GateKernel<P>> gate;  // no kernel where the activation has no gate
  std::vector<PackedRows<P>> packed;

  int64_t out_planes() const { return spec.out_channels / P::kChannels; }
};

template <class P>
struct TileSet {
  std::vector<kernels::Tile> tiles;
  std::vector<kernels::TileFunction<P>> run;  // per tile
};

// One tile height.
template <class P>
struct RowsPlan {
  WeightVector<int32_t> offsets;  // per packed column, into the prepared input (or x itself)
  std::vector<int64_t> row_at;    // [blocks][rows / kChannels], where each output plane begins
  TileSet<P> all;                 // of a band, where there are bands
  TileSet<P> last;                // of the last band, when that has fewer rows
  // Where the columns of each block are cut so that the input channels of a part stay in the first
  // cache while all blocks use them: [part][block], from the block's first column; parts + 1 rows.
  std::vector<int64_t> cuts;
  int64_t parts = 1;
  // Tiles that a block does before the next block does the same ones.
  int64_t tiles_at_once = 1;
};

// A range of blocks on a range of tiles, of one tile height.
struct TileTask {
  int rows_index;  // into TiledPlan::rows and the packed weights
  Range tiles, blocks;
};

template <class P>
struct TiledPlan {
  ConvSizes sizes;
  InputPlanes input;
  std::vector<RowsPlan<P>> rows;
  std::vector<TileTask> tile_tasks;  // without bands
  std::vector<Range> band_tasks;     // with bands

  // Where the input is not read in place.
  Registered<PrepareKernel<P>> prepare = {};
  // Without bands: how many threads each prepare the whole input for themselves; 1 if all share
  // one, prepared by prepare_tasks. With bands: how many prepare one at a time.
  int workspaces = 1;
  std::vector<Range> prepare_tasks;

  std::size_t scratch_bytes = 0;
  int main_row = 0;  // the registry row that does most of the work
};

template <class P>
Status PlanTiles(const TiledLayer<P>& layer, const ConvSizes& sizes, TiledPlan<P>* plan);

// One line for people.
template <class P>
std::string DescribeTiles(const TiledPlan<P>& plan, const TiledLayer<P>& layer);

}  // namespace alcs

#endif  // ALCS_SRC_TILED_PLAN_H_
