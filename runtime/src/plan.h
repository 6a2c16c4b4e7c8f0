// What depends on the input size: where every tap lies, the tiles of pixels, and the tasks.
#ifndef ALCS_SRC_PLAN_H_
#define ALCS_SRC_PLAN_H_

#include <vector>

#include "alcs/conv.h"
#include "packing.h"
#include "registry.h"

namespace alcs {

// A range of blocks on a range of tiles, of one tile height.
struct TileTask {
  int rows_index;  // into TilePlan::rows and the packed weights
  int64_t first_tile, last_tile;
  int64_t first_block, last_block;
};

struct ChannelTask {
  int64_t first, last;
};

// One tile height.
struct RowsPlan {
  std::vector<kernels::Tile> tiles;
  std::vector<kernels::TileFunction<float>> run;  // per tile
  std::vector<int32_t> offsets;  // per packed column, into the prepared input (or x itself)
};

struct EnginePlan final : ConvPlan {
  enum class Path { kReference, kDirect, kPlanes, kDepthwise };

  Path path = Path::kReference;
  std::vector<RowsPlan> rows;
  std::vector<TileTask> tile_tasks;

  // kPlanes. The arguments lack only the pointers and the channels.
  Registered<PrepareKernel> prepare = {};
  kernels::PrepareArgs<float> prepare_args = {};
  std::vector<int64_t> row_start, column_start;
  std::vector<ChannelTask> prepare_tasks;

  // kDepthwise.
  Registered<DepthwiseKernel> depthwise = {};
  std::vector<ChannelTask> channel_tasks;

  int main_row = 0;  // the registry row that does most of the work
};

// The depthwise kernel that computes `spec`, or null.
const Registered<DepthwiseKernel>* FindDepthwise(const ConvSpec& spec, Isa isa);

// Fills the sizes of `plan`, which holds nothing else yet.
Status PlanSizes(const ConvSpec& spec, int64_t n, int64_t h, int64_t w, EnginePlan* plan);

void PlanDepthwise(const ConvSpec& spec, EnginePlan* plan);

Status PlanTiles(const ConvSpec& spec, const std::vector<PackedRows>& packed, Isa isa,
                 EnginePlan* plan);

}  // namespace alcs

#endif  // ALCS_SRC_PLAN_H_
