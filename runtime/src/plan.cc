#include "plan.h"

#include <algorithm>
#include <limits>
#include <string>

#include "cost_rule.h"
#include "workspace.h"

namespace alcs {
namespace {

using kernels::Tile;

constexpr int64_t kInt32Max = std::numeric_limits<int32_t>::max();

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Taps of one axis: which plane each kernel index reads, and where.
struct Axis {
  std::vector<int64_t> start;         // per plane: input index of its element 0
  std::vector<int64_t> used;          // kernel indices, ascending
  std::vector<int64_t> plane, shift;  // per used index
  int64_t max_shift = 0;
};

// `separate`: a plane per kernel index. Otherwise indices that differ by a multiple of the stride
// share one.
Axis MakeAxis(const std::vector<int64_t>& used, int64_t stride, int64_t dilation, int64_t pad,
              bool separate) {
  Axis axis;
  axis.used = used;
  for (const int64_t index : used) {
    const int64_t start = index * dilation - pad;
    std::size_t plane = 0;
    while (plane < axis.start.size() && (separate || (start - axis.start[plane]) % stride != 0)) {
      ++plane;
    }
    if (plane == axis.start.size()) axis.start.push_back(start);
    axis.plane.push_back(static_cast<int64_t>(plane));
    axis.shift.push_back((start - axis.start[plane]) / stride);
    axis.max_shift = std::max(axis.max_shift, axis.shift.back());
  }
  return axis;
}

std::vector<int64_t> Distinct(std::vector<int64_t> values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  if (values.empty()) values.push_back(0);
  return values;
}

// Zeros at the end of a row that are also those at the start of the next one, so that they need be
// stored only once.
int64_t SharedZeros(const Axis& axis, int64_t stride, int64_t out, int64_t in) {
  int64_t shared = axis.max_shift;
  for (const int64_t start : axis.start) {
    const int64_t left = start < 0 ? CeilDiv(-start, stride) : 0;
    const int64_t inside = start < in ? CeilDiv(in - start, stride) : 0;
    const int64_t right = std::max<int64_t>(0, out + axis.max_shift - inside);
    shared = std::min({shared, left, right});
  }
  return shared;
}

// Cuts an output of height x out_width into tiles. `width` is that of a row in the input.
std::vector<Tile> MakeTiles(const TileKernel& kernel, int64_t height, int64_t out_width,
                            int64_t width) {
  const int64_t lanes = kernel.lanes;
  const int64_t max_vectors = kernel.max_vectors;
  const bool compress = kernel.run[1][kernels::kCompress][0] != nullptr;
  std::vector<Tile> tiles;
  if (width == out_width) {
    const int64_t pixels = height * out_width;
    const int64_t rest = pixels % lanes;
    int64_t vectors = pixels / lanes;
    const bool quad = rest > 0 && rest <= 4 && kernel.run[0][kernels::kFull][1] != nullptr;
    if (rest > 0 && !quad) ++vectors;
    const int64_t count = std::max<int64_t>(1, CeilDiv(vectors, max_vectors));
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
        const bool move = !kernel.masks && pixels >= lanes;
        tile.tail_lanes = static_cast<int32_t>(move ? lanes : rest);
        tile.tail_shift = static_cast<int32_t>(move ? lanes - rest : 0);
      }
      tiles.push_back(tile);
    }
    return tiles;
  }
  if (!compress || out_width % lanes == 0) {
    // Whole vectors, row by row; the last of a row moves back to end with it.
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
      for (int64_t x = 0; x < out_width; x += lanes) {
        const bool full = tiles.empty() || tiles.back().vectors == max_vectors;
        if (x + lanes <= out_width) {
          push(y, x, full);
          continue;
        }
        if (full) {  // it takes along the vector that it overlaps: one tile is one task
          --tiles.back().vectors;
          push(y, x - lanes, true);
        }
        push(y, out_width - lanes, false);
      }
    }
    return tiles;
  }
  const int64_t end = (height - 1) * width + out_width;
  const int64_t vectors = CeilDiv(end, lanes);
  const int64_t count = CeilDiv(vectors, max_vectors);
  // Outputs before position `at` of the input plane.
  const auto outputs_before = [&](int64_t at) {
    return at / width * out_width + std::min(at % width, out_width);
  };
  int64_t at = 0;
  for (int64_t i = 0; i < count; ++i) {
    Tile tile;
    tile.mode = kernels::kCompress;
    tile.in = at;
    tile.out = outputs_before(at);
    tile.vectors = static_cast<int32_t>(vectors / count + (i >= count - vectors % count));
    for (int32_t s = 0; s < tile.vectors; ++s, at += lanes) {
      tile.out_at[s] = static_cast<int32_t>(outputs_before(at) - tile.out);
      for (int64_t lane = 0; lane < lanes; ++lane) {
        if (at + lane < end && (at + lane) % width < out_width) {
          tile.lanes[s] |= 1U << static_cast<unsigned>(lane);
        }
      }
    }
    tiles.push_back(tile);
  }
  return tiles;
}

TileSet MakeTileSet(const TileKernel& kernel, int64_t height, int64_t out_width, int64_t width) {
  TileSet set;
  set.tiles = MakeTiles(kernel, height, out_width, width);
  // A tile's outputs end where the next one's begin.
  int64_t end = height * out_width;
  for (auto tile = set.tiles.rbegin(); tile != set.tiles.rend(); ++tile) {
    tile->outputs = static_cast<int32_t>(end - tile->out);
    end = tile->out;
  }
  for (const Tile& tile : set.tiles) {
    set.run.push_back(kernel.run[tile.vectors][tile.mode][tile.quad > 0 ? 1 : 0]);
  }
  return set;
}

// What a tile multiplies per column and row; the quads count as one.
int64_t RegistersPerRow(const Tile& tile) { return tile.vectors + (tile.quad > 0 ? 1 : 0); }

// Cuts [0, costs.size()) into at most `parts` ranges of about the same cost.
std::vector<Range> Balance(const std::vector<int64_t>& costs, int64_t parts) {
  int64_t total = 0;
  for (const int64_t cost : costs) total += cost;
  std::vector<Range> ranges;
  int64_t first = 0, done = 0;
  for (int64_t i = 0; i < static_cast<int64_t>(costs.size()); ++i) {
    done += costs[static_cast<std::size_t>(i)];
    const auto cut = static_cast<int64_t>(ranges.size()) + 1;
    const bool last = i + 1 == static_cast<int64_t>(costs.size());
    if (last || static_cast<double>(done) * static_cast<double>(parts) >=
                    static_cast<double>(total) * static_cast<double>(cut)) {
      ranges.push_back({first, i + 1});
      first = i + 1;
    }
  }
  return ranges;
}

std::vector<Range> SplitEvenly(int64_t channels, int64_t parts) {
  parts = std::max<int64_t>(1, std::min({parts, channels, cost::kMaxTasks}));
  std::vector<Range> tasks;
  for (int64_t i = 0; i < parts; ++i) tasks.push_back(Part(channels, parts, i));
  return tasks;
}

// Tasks for one tile height. Ranges of tiles first, since each then reads its own part of the
// input; ranges of blocks where there are few tiles.
void AppendTileTasks(const PackedRows& packed, const RowsPlan& rows, int rows_index,
                     std::vector<TileTask>* tasks) {
  std::vector<int64_t> tile_costs, block_costs;
  int64_t vectors = 0, columns = 0;
  for (const Tile& tile : rows.all.tiles) {
    tile_costs.push_back(RegistersPerRow(tile));
    vectors += tile_costs.back();
  }
  for (const PackedBlock& block : packed.blocks) {
    block_costs.push_back(block.columns + cost::kColumnsPerStore);
    columns += block_costs.back();
  }
  const double ops =
      static_cast<double>(vectors) * static_cast<double>(columns) * packed.kernel.kernel->rows;
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
void CutColumns(const PackedRows& packed, Isa isa, int64_t taps, int64_t channel_bytes,
                RowsPlan* rows) {
  const auto blocks = static_cast<int64_t>(packed.blocks.size());
  const auto columns = static_cast<int64_t>(packed.columns.size());
  int64_t channels = 0;
  for (const int32_t column : packed.columns) {
    channels = std::max<int64_t>(channels, column / taps + 1);
  }
  rows->parts =
      cost::InputParts(KernelsOf(isa).input_parts, channels, channel_bytes, columns / blocks);
  for (int64_t part = 0; part <= rows->parts; ++part) {
    const int64_t end = channels * part / rows->parts * taps;
    for (const PackedBlock& block : packed.blocks) {
      const auto* first = packed.columns.data() + block.first_column;
      rows->cuts.push_back(std::lower_bound(first, first + block.columns, end) - first);
    }
  }
}

// Output rows of a band: those, with at most `most` prepared rows, that cost the least in vectors
// computed and in rows prepared twice. 0 if bands do not suit.
int64_t BandRows(const ConvPlan& plan, int64_t width, int64_t overlap, int64_t most,
                 int64_t lanes) {
  const auto vectors_of = [&](int64_t rows) {
    return plan.out_width % lanes == 0 ? rows * (plan.out_width / lanes)
                                       : CeilDiv((rows - 1) * width + plan.out_width, lanes);
  };
  int64_t low = 1;
  while (low < plan.out_height && vectors_of(low) < cost::kMinBandVectors) ++low;
  if (CeilDiv(plan.out_height, low) < cost::kMinBands) return 0;
  const int64_t high = std::max(low, std::min(plan.out_height / cost::kMinBands, most - overlap));
  int64_t best = 0;
  double best_cost = std::numeric_limits<double>::max();
  for (int64_t rows = std::max(low, high / 2); rows <= high; ++rows) {
    const double prepared = cost::kPreparePerVector *
                            static_cast<double>((rows + overlap) * width) /
                            static_cast<double>(lanes);
    const double cost = static_cast<double>(CeilDiv(plan.out_height, rows)) *
                        (static_cast<double>(vectors_of(rows)) + prepared);
    if (cost <= best_cost) {
      best_cost = cost;
      best = rows;
    }
  }
  return best;
}

}  // namespace

const Registered<WindowKernel>* FindDepthwise(const ConvSpec& spec, Isa isa) {
  if (spec.group != spec.in_channels || spec.dilations[0] != 1 || spec.dilations[1] != 1) {
    return nullptr;
  }
  return FindWindow(KernelsOf(isa).depthwise, spec.kernel, spec.strides);
}

int64_t WindowTasks(int64_t channels, int64_t touched) {
  const int64_t wanted = channels * touched / cost::kMinTaskFloats;
  return std::max<int64_t>(1, std::min({wanted, channels, cost::kMaxTasks}));
}

Status PlanSizes(const ConvSpec& spec, int64_t n, int64_t h, int64_t w, EnginePlan* plan) {
  if (n < 0 || h < 1 || w < 1 || n > kInt32Max || h > kInt32Max || w > kInt32Max) {
    return Status::Error("input of " + std::to_string(n) + " x " +
                         std::to_string(spec.in_channels) + " x " + std::to_string(h) + " x " +
                         std::to_string(w) + " is not supported");
  }
  plan->batch = n;
  plan->in_height = h;
  plan->in_width = w;
  const int64_t free_height =
      h + spec.pads[0] + spec.pads[2] - spec.dilations[0] * (spec.kernel[0] - 1) - 1;
  const int64_t free_width =
      w + spec.pads[1] + spec.pads[3] - spec.dilations[1] * (spec.kernel[1] - 1) - 1;
  if (free_height < 0 || free_width < 0) {
    return Status::Error("the kernel is larger than the padded input of " + std::to_string(h) +
                         " x " + std::to_string(w));
  }
  plan->out_height = free_height / spec.strides[0] + 1;
  plan->out_width = free_width / spec.strides[1] + 1;
  // An image of all channels must be addressable in 64 bits, a channel of it in 31.
  if (static_cast<double>(plan->out_height) * static_cast<double>(plan->out_width) > 0x7fffffff ||
      static_cast<double>(h) * static_cast<double>(w) > 0x7fffffff) {
    return Status::Error("a channel of " + std::to_string(plan->out_height) + " x " +
                         std::to_string(plan->out_width) + " outputs is too large");
  }
  return Status();
}

void PlanDepthwise(const ConvSpec& spec, EnginePlan* plan) {
  plan->path = EnginePlan::Path::kDepthwise;
  plan->main_row = plan->depthwise.row;
  const int64_t touched = plan->out_height * plan->out_width + plan->in_height * plan->in_width;
  plan->channel_tasks = SplitEvenly(spec.out_channels, WindowTasks(spec.out_channels, touched));
}

Status PlanTiles(const ConvSpec& spec, const std::vector<PackedRows>& packed, Isa isa,
                 EnginePlan* plan) {
  const int64_t kh = spec.kernel[0], kw = spec.kernel[1];
  const int64_t in_pixels = plan->in_height * plan->in_width;
  const TileKernel& any_kernel = *packed.front().kernel.kernel;
  const bool pointwise = kh == 1 && kw == 1 && spec.strides[0] == 1 && spec.strides[1] == 1 &&
                         std::all_of(spec.pads, spec.pads + 4, [](int64_t p) { return p == 0; });
  // Without masks the last pixels are reached by moving a whole vector back.
  const bool direct = pointwise && (any_kernel.masks || in_pixels >= any_kernel.lanes);

  std::vector<int64_t> used_rows, used_columns;
  for (const PackedRows& rows : packed) {
    for (const int32_t column : rows.columns) {
      used_rows.push_back(column / kw % kh);
      used_columns.push_back(column % kw);
    }
  }
  const Axis vertical = MakeAxis(Distinct(std::move(used_rows)), spec.strides[0], spec.dilations[0],
                                 spec.pads[0], false);
  const bool separate = cost::CopyPerColumn(any_kernel, plan->out_width);
  const Axis horizontal = MakeAxis(Distinct(std::move(used_columns)), spec.strides[1],
                                   spec.dilations[1], spec.pads[1], separate);

  Bands& bands = plan->bands;
  // All sizes below are bounded by checking each product in floating point first.
  int64_t width = plan->out_width, channel_stride = in_pixels, plane_stride = 0;
  if (direct) {
    plan->path = EnginePlan::Path::kDirect;
  } else {
    plan->path = EnginePlan::Path::kPlanes;
    const int64_t shared =
        SharedZeros(horizontal, spec.strides[1], plan->out_width, plan->in_width);
    width = plan->out_width + horizontal.max_shift - shared;
    const auto planes = static_cast<int64_t>(vertical.start.size() * horizontal.start.size());
    int64_t rows = plan->out_height + vertical.max_shift;
    if (static_cast<double>(rows) * static_cast<double>(width) * static_cast<double>(planes) >
        static_cast<double>(kInt32Max)) {
      return Status::Error("an input channel needs more scratch memory than is supported");
    }
    const int64_t row_floats = planes * width * spec.in_channels;
    if (static_cast<double>(rows) * static_cast<double>(row_floats) > cost::kMaxPreparedFloats) {
      bands.rows = BandRows(*plan, width, vertical.max_shift,
                            cost::kMaxPreparedFloats / 2 / row_floats, any_kernel.lanes);
    }
    if (bands.rows > 0) {
      bands.count = CeilDiv(plan->out_height, bands.rows);
      bands.tasks = SplitEvenly(bands.count, bands.count);
      rows = bands.rows + vertical.max_shift;
    }
    plane_stride = rows * width + shared;
    channel_stride = CeilDiv(planes * plane_stride + any_kernel.lanes, 16) * 16;
    // Channels a page apart would compete for the same cache sets.
    if (channel_stride % 1024 == 0) channel_stride += 16;
    plan->row_start = vertical.start;
    plan->column_start = horizontal.start;
    plan->prepare_args = {nullptr,
                          nullptr,
                          0,
                          plan->in_height,
                          plan->in_width,
                          rows,
                          width,
                          plane_stride,
                          channel_stride,
                          spec.strides[0],
                          spec.strides[1],
                          0,
                          plan->row_start.data(),
                          static_cast<int64_t>(plan->row_start.size()),
                          plan->column_start.data(),
                          static_cast<int64_t>(plan->column_start.size())};
    for (const auto& row : KernelsOf(isa).prepare) {
      if (row.kernel->column_stride == spec.strides[1] || row.kernel->column_stride == 0) {
        plan->prepare = row;
        break;
      }
    }
  }
  if (static_cast<double>(channel_stride) * static_cast<double>(spec.in_channels) >
      static_cast<double>(kInt32Max)) {
    return Status::Error("an image of " + std::to_string(spec.in_channels) + " x " +
                         std::to_string(plan->in_height) + " x " + std::to_string(plan->in_width) +
                         " is too large");
  }
  if (!direct) {
    const int64_t floats = spec.in_channels * channel_stride + 2 * any_kernel.lanes;
    bands.workspace_floats = CeilDiv(floats, 16) * 16;
    plan->prepare_tasks = SplitEvenly(spec.in_channels, floats / cost::kMinTaskFloats);
  }

  const bool banded = bands.count > 0;
  // Where each kernel index lies within a channel.
  const auto place = [](const Axis& axis, int64_t index, int64_t plane_step, int64_t shift_step) {
    const auto at = static_cast<std::size_t>(
        std::lower_bound(axis.used.begin(), axis.used.end(), index) - axis.used.begin());
    return axis.plane[at] * plane_step + axis.shift[at] * shift_step;
  };
  const auto column_planes = static_cast<int64_t>(horizontal.start.size());
  double most_work = -1;
  for (std::size_t i = 0; i < packed.size(); ++i) {
    const TileKernel& kernel = *packed[i].kernel.kernel;
    RowsPlan rows;
    rows.offsets.resize(packed[i].columns.size());
    for (const int64_t channel : packed[i].channels) {
      rows.row_at.push_back(channel * plan->out_height * plan->out_width);
    }
    for (const PackedBlock& block : packed[i].blocks) {
      const int64_t first_channel = block.group * (spec.in_channels / spec.group);
      for (int64_t k = block.first_column; k < block.first_column + block.columns; ++k) {
        const int64_t column = packed[i].columns[static_cast<std::size_t>(k)];
        const int64_t channel = first_channel + column / (kh * kw);
        rows.offsets[static_cast<std::size_t>(k)] = static_cast<int32_t>(
            channel * channel_stride +
            place(vertical, column / kw % kh, column_planes * plane_stride, width) +
            place(horizontal, column % kw, plane_stride, 1));
      }
    }
    const int64_t last_rows = plan->out_height - (bands.count - 1) * bands.rows;
    rows.all = MakeTileSet(kernel, banded ? bands.rows : plan->out_height, plan->out_width, width);
    if (banded && last_rows != bands.rows) {
      rows.last = MakeTileSet(kernel, last_rows, plan->out_width, width);
    }
    // Bytes of a channel that a tile reads, whole cache lines, in every plane.
    const int64_t run = kernel.max_vectors * kernel.lanes + vertical.max_shift * width;
    const int64_t planes =
        direct ? 1 : static_cast<int64_t>(vertical.start.size() * horizontal.start.size());
    CutColumns(packed[i], isa, kh * kw, planes * (run * 4 + 64), &rows);
    const int64_t tile_bytes = planes * kernel.max_vectors * kernel.lanes * 4;
    const int64_t halo_bytes = planes * vertical.max_shift * width * 4;
    rows.tiles_at_once = cost::TilesAtOnce(static_cast<int64_t>(rows.all.tiles.size()), rows.parts,
                                           spec.in_channels / spec.group * tile_bytes,
                                           spec.in_channels / spec.group * halo_bytes);
    const double work = static_cast<double>(packed[i].values.size());
    if (work > most_work) {
      most_work = work;
      plan->main_row = packed[i].kernel.row;
    }
    plan->rows.push_back(std::move(rows));
    if (!banded) {
      AppendTileTasks(packed[i], plan->rows.back(), static_cast<int>(i), &plan->tile_tasks);
    }
  }
  if (!direct) {
    const auto tasks = static_cast<int64_t>(plan->tile_tasks.size());
    double ops = 0;
    for (std::size_t i = 0; i < packed.size(); ++i) {
      int64_t vectors = 0;
      for (const Tile& tile : plan->rows[i].all.tiles) vectors += RegistersPerRow(tile);
      ops += static_cast<double>(vectors) * static_cast<double>(packed[i].values.size());
    }
    const bool alone = banded || cost::PrepareAlone(bands.workspace_floats, ops);
    const int64_t users = banded ? static_cast<int64_t>(bands.tasks.size()) : tasks;
    const int64_t workspaces = alone ? std::clamp<int64_t>(users, 1, WorkspacePool::Most()) : 1;
    plan->workspaces = static_cast<int>(workspaces);
    plan->scratch_bytes =
        static_cast<std::size_t>(workspaces * bands.workspace_floats) * sizeof(float) + 64;
  }
  return Status();
}

}  // namespace alcs
