// What depends on the input size: where every tap lies, the tiles of pixels, and the tasks.
#ifndef ALCS_SRC_PLAN_H_
#define ALCS_SRC_PLAN_H_

#include <string>
#include <vector>

#include "alcs/conv.h"
#include "packing.h"
#include "registry.h"

namespace alcs {

struct Range {
  int64_t first, last;
};

// Part `i` of [0, size) cut into `parts` of about the same length.
inline Range Part(int64_t size, int64_t parts, int64_t i) {
  return {size * i / parts, size * (i + 1) / parts};
}

// A range of blocks on a range of tiles, of one tile height.
struct TileTask {
  int rows_index;  // into EnginePlan::rows and the packed weights
  Range tiles, blocks;
};

struct TileSet {
  std::vector<kernels::Tile> tiles;
  std::vector<kernels::TileFunction<float>> run;  // per tile
};

// One tile height.
struct RowsPlan {
  WeightVector<int32_t> offsets;  // per packed column, into the prepared input (or x itself)
  std::vector<int64_t> row_at;    // [blocks][rows], where each row's output channel begins
  TileSet all;                    // of a band, where there are bands
  TileSet last;                   // of the last band, when that has fewer rows
  // Where the columns of each block are cut so that the input channels of a part stay in the first
  // cache while all blocks use them: [part][block], from the block's first column; parts + 1 rows.
  std::vector<int64_t> cuts;
  int64_t parts = 1;
  // Tiles that a block does before the next block does the same ones.
  int64_t tiles_at_once = 1;
};

// Bands of output rows, each of whose inputs is prepared just before it is used, in little memory.
// For layers whose whole prepared input would not stay in the second-level cache.
struct Bands {
  int64_t count = 0;             // 0: the whole input is prepared first
  int64_t rows = 0;              // output rows of all but the last
  std::vector<Range> tasks;      // ranges of bands
  int64_t workspace_floats = 0;  // prepared input of one task, or all of it
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
  // Without bands: how many threads each prepare the whole input for themselves; 1 if all share
  // one, prepared by prepare_tasks.
  int workspaces = 1;
  std::vector<Range> prepare_tasks;
  Bands bands;

  // kDepthwise.
  Registered<WindowKernel> depthwise = {};
  std::vector<Range> channel_tasks;

  int main_row = 0;  // the registry row that does most of the work
};

// The depthwise kernel that computes `spec`, or null.
const Registered<WindowKernel>* FindDepthwise(const ConvSpec& spec, Isa isa);

// Into how many tasks to cut a window operation on `channels`, of `touched` pixels read or written
// each.
int64_t WindowTasks(int64_t channels, int64_t touched);

// Fills the sizes of `plan`, which holds nothing else yet.
Status PlanSizes(const ConvSpec& spec, int64_t n, int64_t h, int64_t w, EnginePlan* plan);

void PlanDepthwise(const ConvSpec& spec, EnginePlan* plan);

Status PlanTiles(const ConvSpec& spec, const std::vector<PackedRows>& packed, Isa isa,
                 EnginePlan* plan);

// One line for people.
std::string DescribePlan(const EnginePlan& plan, const std::vector<PackedRows>& packed);

}  // namespace alcs

#endif  // ALCS_SRC_PLAN_H_
