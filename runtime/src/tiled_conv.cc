#include "tiled_conv.h"

#include <algorithm>
#include <limits>

#include "parallel.h"
#include "workspace.h"

namespace alcs {
namespace {

template <class T>
T* AlignToLine(void* memory) {
  const auto address = reinterpret_cast<std::uintptr_t>(memory);
  return reinterpret_cast<T*>((address + 63) / 64 * 64);
}

constexpr float kNoBias[kernels::kMaxRows] = {};
constexpr Float32::Epilogue kNoEpilogue = {1, -std::numeric_limits<float>::infinity(),
                                           std::numeric_limits<float>::infinity(), false, false};

// One run of one image.
template <class P>
class TileRun {
 public:
  using Word = typename P::Word;

  TileRun(const TiledLayer<P>& layer, const TiledPlan<P>& plan, const Word* x, const Word* residual,
          Word* y)
      : layer_(layer), plan_(plan), x_(x), residual_(residual), y_(y) {}

  // Tiles read x itself.
  void Direct(const ParallelFor& parallel) const noexcept { RunTasks(x_, parallel); }

  // All threads prepare the input together.
  void Shared(Word* planes, const ParallelFor& parallel) const noexcept {
    ForEach(plan_.prepare_tasks.size(), parallel,
            [&](std::size_t i) { Prepare(plan_.prepare_tasks[i], 0, planes); });
    RunTasks(planes, parallel);
  }

  // Each thread prepares the input for itself.
  void Apart(Word* scratch, const ParallelFor& parallel) const noexcept {
    WorkspacePool workspaces(plan_.workspaces);
    bool prepared[WorkspacePool::kLimit] = {};  // each touched only by who has the workspace
    ForEach(plan_.tile_tasks.size(), parallel, [&](std::size_t i) {
      const int workspace = workspaces.Acquire();
      Word* const planes = scratch + workspace * plan_.input.words;
      if (!prepared[workspace]) {
        Prepare({0, layer_.spec.in_channels}, 0, planes);
        prepared[workspace] = true;
      }
      RunTask(plan_.tile_tasks[i], planes);
      workspaces.Release(workspace);
    });
  }

  // A thread prepares a band, and uses it.
  void InBands(Word* scratch, const ParallelFor& parallel) const noexcept {
    WorkspacePool workspaces(plan_.workspaces);
    ForEach(plan_.band_tasks.size(), parallel, [&](std::size_t i) {
      const int workspace = workspaces.Acquire();
      Word* const planes = scratch + workspace * plan_.input.words;
      const Range& task = plan_.band_tasks[i];
      for (int64_t band = task.first; band < task.last; ++band) RunBand(band, planes);
      workspaces.Release(workspace);
    });
  }

 private:
  // Prepares the channels of `range` for the outputs below row `first_row`.
  void Prepare(Range range, int64_t first_row, Word* planes) const noexcept {
    const InputPlanes& input = plan_.input;
    const ConvSizes& sizes = plan_.sizes;
    kernels::PrepareArgs<P> args = {};
    args.input = x_ + range.first * sizes.in_height * sizes.in_width;
    args.planes = planes + range.first * input.channel_stride;
    args.channels = range.last - range.first;
    args.in_height = sizes.in_height;
    args.in_width = sizes.in_width;
    args.rows = input.rows;
    args.width = input.width;
    args.plane_stride = input.plane_stride;
    args.channel_stride = input.channel_stride;
    args.row_stride = layer_.spec.strides[0];
    args.column_stride = layer_.spec.strides[1];
    args.row_offset = first_row * args.row_stride;
    args.row_start = input.vertical.start.data();
    args.row_planes = input.vertical.planes();
    args.column_start = input.horizontal.start.data();
    args.column_planes = input.horizontal.planes();
    args.outside = layer_.outside;
    plan_.prepare.kernel->run(args);
  }

  void RunTasks(const Word* input, const ParallelFor& parallel) const noexcept {
    ForEach(plan_.tile_tasks.size(), parallel,
            [&](std::size_t i) { RunTask(plan_.tile_tasks[i], input); });
  }

  void RunTask(const TileTask& task, const Word* input) const noexcept {
    RunBlocks(task, plan_.rows[static_cast<std::size_t>(task.rows_index)].all, input, 0);
  }

  void RunBand(int64_t band, Word* planes) const noexcept {
    const Bands& bands = plan_.input.bands;
    Prepare({0, layer_.spec.in_channels}, band * bands.rows, planes);
    for (std::size_t i = 0; i < plan_.rows.size(); ++i) {
      const RowsPlan<P>& rows = plan_.rows[i];
      const bool last = band == bands.count - 1 && !rows.last.tiles.empty();
      const TileSet<P>& set = last ? rows.last : rows.all;
      const TileTask task = {static_cast<int>(i),
                             {0, static_cast<int64_t>(set.tiles.size())},
                             {0, static_cast<int64_t>(layer_.packed[i].blocks.size())}};
      RunBlocks(task, set, planes, band * bands.rows * plan_.sizes.out_width);
    }
  }

  // The blocks of a task on its tiles of `set`, whose outputs begin `at` in each plane.
  void RunBlocks(const TileTask& task, const TileSet<P>& set, const Word* input,
                 int64_t at) const noexcept {
    const auto index = static_cast<std::size_t>(task.rows_index);
    const PackedRows<P>& packed = layer_.packed[index];
    const RowsPlan<P>& rows = plan_.rows[index];
    const int64_t height = packed.kernel.kernel->rows, planes = height / P::kChannels;
    const auto blocks = static_cast<int64_t>(packed.blocks.size());
    const GateKernel<P>* const gate = layer_.gate.kernel;
    Word* const y = y_ + at;
    kernels::TileArgs<P> args = {};
    kernels::GateArgs<P> gated = {};
    args.input = input;
    args.output = y;
    args.residual = residual_ != nullptr ? residual_ + at : nullptr;
    args.epilogue = layer_.epilogue;
    for (int64_t t = task.tiles.first; t < task.tiles.last; t += rows.tiles_at_once) {
      const int64_t tiles_end = std::min(t + rows.tiles_at_once, task.tiles.last);
      for (int64_t part = 0; part < rows.parts; ++part) {
        for (int64_t b = task.blocks.first; b < task.blocks.last; ++b) {
          const PackedBlock& block = packed.blocks[static_cast<std::size_t>(b)];
          const int64_t first = rows.cuts[static_cast<std::size_t>(part * blocks + b)];
          const int64_t last = rows.cuts[static_cast<std::size_t>((part + 1) * blocks + b)];
          args.offsets = rows.offsets.data() + block.first_column + first;
          args.weights = packed.values.data() + (block.first_column + first) * height;
          args.count = last - first;
          args.bias = packed.bias.data() + b * height;
          args.row_at = rows.row_at.data() + b * planes;
          if constexpr (P::kPartialSums) {
            if (rows.parts > 1) SetPart(part, rows.parts, at, &args);
          }
          for (int64_t i = t; i < tiles_end; ++i) {
            args.tile = &set.tiles[static_cast<std::size_t>(i)];
            set.run[static_cast<std::size_t>(i)](args);
            if (gate == nullptr || part + 1 < rows.parts) continue;
            // A tile late: what was stored just now could not be loaded at full speed yet.
            if (gated.output != nullptr) gate->run(gated);
            gated = {y + args.tile->out, args.row_at, planes, args.tile->outputs};
          }
        }
      }
    }
    if (gated.output != nullptr) gate->run(gated);
  }

  // What earlier parts of the columns have summed up waits in the output.
  void SetPart(int64_t part, int64_t parts, int64_t at, kernels::TileArgs<P>* args) const noexcept {
    if (part > 0) args->bias = kNoBias;
    args->residual = part > 0 ? args->output : residual_ != nullptr ? residual_ + at : nullptr;
    args->epilogue = part == parts - 1 ? layer_.epilogue : kNoEpilogue;
  }

  const TiledLayer<P>& layer_;
  const TiledPlan<P>& plan_;
  const Word* const x_;
  const Word* const residual_;
  Word* const y_;
};

}  // namespace

template <class P>
void RunTiles(const TiledLayer<P>& layer, const TiledPlan<P>& plan, const typename P::Word* x,
              const typename P::Word* residual, typename P::Word* y, void* scratch,
              const ParallelFor& parallel) noexcept {
  const TileRun<P> run(layer, plan, x, residual, y);
  for (const PackedRows<P>& rows : layer.packed) CountRun(rows.kernel.row);
  if (layer.gate.kernel != nullptr) CountRun(layer.gate.row);
  if (plan.input.direct) return run.Direct(parallel);
  CountRun(plan.prepare.row);
  auto* planes = AlignToLine<typename P::Word>(scratch);
  if (plan.input.bands.any()) return run.InBands(planes, parallel);
  if (plan.workspaces > 1) return run.Apart(planes, parallel);
  run.Shared(planes, parallel);
}

template void RunTiles(const TiledLayer<Float32>&, const TiledPlan<Float32>&, const float*,
                       const float*, float*, void*, const ParallelFor&) noexcept;
template void RunTiles(const TiledLayer<Uint8>&, const TiledPlan<Uint8>&, const Uint8::Word*,
                       const Uint8::Word*, Uint8::Word*, void*, const ParallelFor&) noexcept;

}  // namespace alcs
