#include "tiled_plan.h"

#include <algorithm>
#include <sstream>

#include "cost_rule.h"
#include "sizes.h"
#include "tiles.h"
#include "workspace.h"

namespace alcs {
namespace {

using kernels::Tile;

template <class P>
TileSet<P> MakeTileSet(const TileKernel<P>& kernel, int64_t height, int64_t out_width,
                       int64_t width) {
  TileSet<P> set;
  set.tiles = MakeTiles(kernel.shape, height, out_width, width);
  for (const Tile& tile : set.tiles) {
    set.run.push_back(kernel.run[tile.vectors][tile.mode][tile.quad > 0 ? 1 : 0]);
  }
  return set;
}

template <class P>
int64_t RegistersOf(const TileSet<P>& set) {
  int64_t registers = 0;
  for (const Tile& tile : set.tiles) registers += RegistersPerRow(tile);
  return registers;
}

// Stored weights, each for all channels of a word.
template <class P>
int64_t WeightsOf(const PackedRows<P>& packed) {
  return static_cast<int64_t>(packed.columns.size()) * packed.kernel.kernel->rows;
}

// Tasks for one tile height. Ranges of tiles first, since each then reads its own part of the
// input; ranges of blocks where there are few tiles.
template <class P>
void AppendTileTasks(const PackedRows<P>& packed, const RowsPlan<P>& rows, int rows_index,
                     std::vector<TileTask>* tasks) {
  std::vector<int64_t> tile_costs, block_costs;
  for (const Tile& tile : rows.all.tiles) tile_costs.push_back(RegistersPerRow(tile));
  int64_t columns = 0;
  for (const PackedBlock& block : packed.blocks) {
    block_costs.push_back(block.columns + cost::kColumnsPerStore);
    columns += block_costs.back();
  }
  const double ops = static_cast<double>(RegistersOf(rows.all)) * static_cast<double>(columns) *
                     packed.kernel.kernel->rows;
  const auto wanted = static_cast<int64_t>(std::max(
      1.0, std::min<double>(cost::kMaxTasks, ops / static_cast<double>(cost::kMinTaskOps))));
  const auto tile_ranges = Balance(tile_costs, wanted);
  const auto block_ranges =
      Balance(block_costs, CeilDiv(wanted, static_cast<int64_t>(tile_ranges.size())));
  for (const Range& tiles : tile_ranges) {
    for (const Range& blocks : block_ranges) {
      tasks->push_back({rows_index, tiles, blocks});
    }
  }
}

// Cuts the columns of each block by input channel, as the cost rule says.
template <class P>
void CutColumns(const PackedRows<P>& packed, int64_t most_parts, int64_t taps,
                int64_t channel_bytes, RowsPlan<P>* rows) {
  const auto blocks = static_cast<int64_t>(packed.blocks.size());
  const auto columns = static_cast<int64_t>(packed.columns.size());
  int64_t channels = 0;
  for (const int32_t column : packed.columns) {
    channels = std::max<int64_t>(channels, column / taps + 1);
  }
  const bool spread = rows->all.tiles.front().mode == kernels::kCompress;
  rows->parts = cost::InputParts(most_parts, spread, channels, channel_bytes, columns / blocks);
  for (int64_t part = 0; part <= rows->parts; ++part) {
    const int64_t end = channels * part / rows->parts * taps;
    for (const PackedBlock& block : packed.blocks) {
      const auto* first = packed.columns.data() + block.first_column;
      rows->cuts.push_back(std::lower_bound(first, first + block.columns, end) - first);
    }
  }
}

// Where the columns of each block lie in the input, and its rows in the output.
template <class P>
void Place(const TiledLayer<P>& layer, const PackedRows<P>& packed, const TiledPlan<P>& plan,
           RowsPlan<P>* rows) {
  const ConvSpec& spec = layer.spec;
  const int64_t kh = spec.kernel[0], kw = spec.kernel[1];
  const int64_t pixels = plan.sizes.out_height * plan.sizes.out_width;
  for (std::size_t i = 0; i < packed.channels.size(); i += P::kChannels) {
    rows->row_at.push_back(packed.channels[i] / P::kChannels * pixels);
  }
  rows->offsets.resize(packed.columns.size());
  for (const PackedBlock& block : packed.blocks) {
    const int64_t first_channel = block.group * (spec.in_channels / spec.group);
    for (int64_t k = block.first_column; k < block.first_column + block.columns; ++k) {
      const int64_t column = packed.columns[static_cast<std::size_t>(k)];
      rows->offsets[static_cast<std::size_t>(k)] = static_cast<int32_t>(
          plan.input.Offset(first_channel + column / (kh * kw), column / kw % kh, column % kw));
    }
  }
}

template <class P>
RowsPlan<P> PlanRows(const TiledLayer<P>& layer, const PackedRows<P>& packed,
                     const TiledPlan<P>& plan) {
  const TileKernel<P>& kernel = *packed.kernel.kernel;
  const InputPlanes& input = plan.input;
  const ConvSizes& sizes = plan.sizes;
  const Bands& bands = input.bands;
  RowsPlan<P> rows;
  Place(layer, packed, plan, &rows);
  rows.all = MakeTileSet(kernel, bands.any() ? bands.rows : sizes.out_height, sizes.out_width,
                         input.width);
  const int64_t last_rows = sizes.out_height - (bands.count - 1) * bands.rows;
  if (bands.any() && last_rows != bands.rows) {
    rows.last = MakeTileSet(kernel, last_rows, sizes.out_width, input.width);
  }
  // Bytes of a channel that a tile reads, whole cache lines, in every plane.
  constexpr int64_t kWord = sizeof(typename P::Word), kLine = 64;
  const int64_t pixels = int64_t{kernel.shape.max_vectors} * kernel.shape.lanes;
  const int64_t halo = input.vertical.max_shift * input.width;
  CutColumns(packed, KernelsOf<P>(layer.isa).input_parts,
             layer.spec.kernel[0] * layer.spec.kernel[1],
             input.planes() * ((pixels + halo) * kWord + kLine), &rows);
  const int64_t channel_bytes = layer.spec.in_channels / layer.spec.group * input.planes() * kWord;
  rows.tiles_at_once = cost::TilesAtOnce(static_cast<int64_t>(rows.all.tiles.size()), rows.parts,
                                         channel_bytes * pixels, channel_bytes * halo);
  return rows;
}

// How the planes are prepared: by whom, and in how much memory.
template <class P>
void PlanPreparation(const TiledLayer<P>& layer, TiledPlan<P>* plan) {
  const InputPlanes& input = plan->input;
  for (const auto& row : KernelsOf<P>(layer.isa).prepare) {
    const int stride = row.kernel->column_stride;
    if (stride != layer.spec.strides[1] && stride != 0) continue;
    plan->prepare = row;
    break;
  }
  plan->prepare_tasks = SplitEvenly(layer.spec.in_channels, input.words / cost::kMinTaskWords);
  if (input.bands.any()) plan->band_tasks = SplitEvenly(input.bands.count, input.bands.count);
  double ops = 0;
  for (std::size_t i = 0; i < layer.packed.size(); ++i) {
    ops += static_cast<double>(RegistersOf(plan->rows[i].all)) *
           static_cast<double>(WeightsOf(layer.packed[i]));
  }
  const bool alone = input.bands.any() || cost::PrepareAlone(input.words, ops);
  const auto users =
      static_cast<int64_t>(input.bands.any() ? plan->band_tasks.size() : plan->tile_tasks.size());
  const int64_t workspaces = alone ? std::clamp<int64_t>(users, 1, WorkspacePool::Most()) : 1;
  plan->workspaces = static_cast<int>(workspaces);
  // A cache line more, to begin at one.
  plan->scratch_bytes =
      static_cast<std::size_t>(workspaces * input.words) * sizeof(typename P::Word) + 64;
}

// "avx512_tile_8 on 12 blocks with 1840 columns x 5 tiles"
template <class P>
void DescribeRows(const PackedRows<P>& packed, const RowsPlan<P>& rows, std::ostream& text) {
  text << RowName(packed.kernel.row) << " on " << packed.blocks.size() << " blocks with "
       << packed.columns.size() << " columns x " << rows.all.tiles.size() << " tiles";
  if (rows.parts > 1) text << " in " << rows.parts << " parts";
  if (rows.tiles_at_once > 1) text << ", " << rows.tiles_at_once << " at once";
}

}  // namespace

template <class P>
Status PlanTiles(const TiledLayer<P>& layer, const ConvSizes& sizes, TiledPlan<P>* plan) {
  TiledPlan<P> made;
  made.sizes = sizes;
  std::vector<int32_t> used;
  for (const PackedRows<P>& packed : layer.packed) {
    used.insert(used.end(), packed.columns.begin(), packed.columns.end());
  }
  const kernels::TileShape& shape = layer.packed.front().kernel.kernel->shape;
  const Status status = LayOut(layer.spec, sizes, used, shape, &made.input);
  if (!status.ok()) return status;
  int64_t most_work = 0;
  for (const PackedRows<P>& packed : layer.packed) {
    made.rows.push_back(PlanRows(layer, packed, made));
    const auto index = static_cast<int>(made.rows.size()) - 1;
    if (index == 0 || WeightsOf(packed) > most_work) {
      most_work = WeightsOf(packed);
      made.main_row = packed.kernel.row;
    }
    if (!made.input.bands.any()) {
      AppendTileTasks(packed, made.rows.back(), index, &made.tile_tasks);
    }
  }
  if (!made.input.direct) PlanPreparation(layer, &made);
  *plan = std::move(made);
  return Status();
}

template <class P>
std::string DescribeTiles(const TiledPlan<P>& plan, const TiledLayer<P>& layer) {
  std::ostringstream text;
  for (std::size_t i = 0; i < plan.rows.size(); ++i) {
    text << (i > 0 ? " and " : "");
    DescribeRows(layer.packed[i], plan.rows[i], text);
  }
  const Bands& bands = plan.input.bands;
  if (plan.input.direct) {
    text << ", input read in place";
  } else {
    text << ", " << RowName(plan.prepare.row) << " into " << plan.input.planes() << " planes";
    if (bands.any()) text << ", " << bands.count << " bands of " << bands.rows << " rows";
    if (!bands.any() && plan.workspaces > 1) text << " for each thread";
  }
  text << "; " << plan.sizes.out_height << " x " << plan.sizes.out_width << " outputs, "
       << (bands.any() ? plan.band_tasks.size() : plan.tile_tasks.size()) << " tasks, "
       << plan.scratch_bytes / 1024 << " KiB of scratch";
  return text.str();
}

template Status PlanTiles(const TiledLayer<Float32>&, const ConvSizes&, TiledPlan<Float32>*);
template Status PlanTiles(const TiledLayer<Uint8>&, const ConvSizes&, TiledPlan<Uint8>*);
template std::string DescribeTiles(const TiledPlan<Float32>&, const TiledLayer<Float32>&);
template std::string DescribeTiles(const TiledPlan<Uint8>&, const TiledLayer<Uint8>&);

}  // namespace alcs
