#include "alcs/conv.h"

#include <algorithm>
#include <exception>
#include <limits>
#include <new>
#include <utility>

#include "cost_rule.h"
#include "packing.h"
#include "parallel.h"
#include "plan.h"
#include "reference.h"
#include "registry.h"
#include "workspace.h"

namespace alcs {
namespace {

// Turns what the standard library throws (only for want of memory) into a Status.
template <class Body>
Status Guarded(Body&& body) noexcept {
  try {
    return body();
  } catch (const std::exception& error) {
    try {
      return Status::Error(std::string("not enough memory (") + error.what() + ")");
    } catch (...) {
      return Status::Error({});
    }
  }
}

template <class T>
T* AlignToLine(void* memory) {
  const auto address = reinterpret_cast<std::uintptr_t>(memory);
  return reinterpret_cast<T*>((address + 63) / 64 * 64);
}

constexpr int64_t kOneRow[1] = {0};
constexpr float kNoBias[kernels::kMaxRows] = {};
constexpr kernels::Epilogue<float> kNoEpilogue = {1, -std::numeric_limits<float>::infinity(),
                                                  std::numeric_limits<float>::infinity(), false,
                                                  false};

class EngineConv final : public Conv {
 public:
  EngineConv(const ConvSpec& spec, const SparseWeightsView& weights, Isa isa)
      : spec_(spec), isa_(isa), bias_(weights.bias, weights.bias + weights.bias_count) {
    const Activation& act = spec.activation;
    epilogue_ = {act.slope, act.low, act.high, act.slope != 1.0F, act.high < Activation().high};
    if (const auto* row = FindGate(isa, static_cast<int>(act.gate))) gate_ = *row;
    if (isa == Isa::kReference) {
      values_.assign(weights.values, weights.values + weights.value_count);
      positions_.assign(weights.positions, weights.positions + weights.nnz);
    } else if (FindDepthwise(spec, isa) != nullptr) {
      // One block per g channels of a conv group; missing taps count as zero.
      const int64_t taps = spec.kernel[0] * spec.kernel[1];
      const int64_t rows = spec.out_channels / spec.group;
      const int64_t blocks = (rows + spec.simd_group - 1) / spec.simd_group;
      values_.assign(static_cast<std::size_t>(spec.out_channels * taps), 0.0F);
      for (int64_t i = 0; i < weights.nnz; ++i) {
        const int64_t block = weights.positions[i] / taps, tap = weights.positions[i] % taps;
        const int64_t first_row = block % blocks * spec.simd_group;
        for (int64_t r = 0; r < spec.simd_group && first_row + r < rows; ++r) {
          const int64_t channel = block / blocks * rows + first_row + r;
          values_[static_cast<std::size_t>(channel * taps + tap)] =
              weights.values[i * spec.simd_group + r];
        }
      }
    } else {
      packed_ = PackRows(spec, weights, KernelsOf(isa).tile);
    }
  }

  Status Plan(int64_t n, int64_t h, int64_t w,
              std::shared_ptr<const ConvPlan>* plan) const override {
    return Guarded([&]() -> Status {
      auto made = std::make_shared<EnginePlan>();
      Status status = PlanSizes(spec_, n, h, w, made.get());
      if (!status.ok()) return status;
      if (isa_ == Isa::kReference) {
        made->main_row = ReferenceRow();
      } else if (const auto* depthwise = FindDepthwise(spec_, isa_)) {
        made->depthwise = *depthwise;
        PlanDepthwise(spec_, made.get());
      } else {
        status = PlanTiles(spec_, packed_, isa_, made.get());
        if (!status.ok()) return status;
      }
      *plan = std::move(made);
      return Status();
    });
  }

  void Run(const ConvPlan& plan, const float* x, const float* residual, float* y, void* scratch,
           const ParallelFor& parallel) const noexcept override {
    const auto& p = static_cast<const EnginePlan&>(plan);
    if (p.path == EnginePlan::Path::kReference) {
      CountRun(p.main_row);
      const SparseWeightsView view = {values_.data(),    static_cast<int64_t>(values_.size()),
                                      positions_.data(), static_cast<int64_t>(positions_.size()),
                                      bias_.data(),      spec_.out_channels};
      return ReferenceConv(spec_, view, p, x, residual, y);
    }
    const int64_t in_image = spec_.in_channels * p.in_height * p.in_width;
    const int64_t out_image = spec_.out_channels * p.out_height * p.out_width;
    if (gate_.kernel != nullptr) CountRun(gate_.row);
    for (int64_t n = 0; n < p.batch; ++n, x += in_image, y += out_image) {
      if (p.path == EnginePlan::Path::kDepthwise) {
        RunDepthwise(p, x, residual, y, parallel);
      } else {
        RunTiles(p, x, residual, y, scratch, parallel);
      }
      if (residual != nullptr) residual += out_image;
    }
  }

  const char* kernel_name(const ConvPlan& plan) const noexcept override {
    return RowName(static_cast<const EnginePlan&>(plan).main_row);
  }
  std::string Describe(const ConvPlan& plan) const override {
    return DescribePlan(static_cast<const EnginePlan&>(plan), packed_);
  }
  const ConvSpec& spec() const noexcept override { return spec_; }
  Isa isa() const noexcept override { return isa_; }

 private:
  void RunDepthwise(const EnginePlan& p, const float* x, const float* residual, float* y,
                    const ParallelFor& parallel) const noexcept {
    CountRun(p.depthwise.row);
    const int64_t pixels = p.out_height * p.out_width;
    ForEach(p.channel_tasks.size(), parallel, [&](std::size_t i) {
      const Range& task = p.channel_tasks[i];
      int64_t step = task.last - task.first;
      if (gate_.kernel != nullptr)
        step = std::min(step, std::max<int64_t>(1, cost::kGatedFloats / pixels));
      for (int64_t first = task.first; first < task.last; first += step) {
        const int64_t last = std::min(first + step, task.last);
        p.depthwise.kernel->run({x, y, residual, values_.data(), bias_.data(), first, last,
                                 spec_.out_channels / spec_.in_channels, p.in_height, p.in_width,
                                 p.out_height, p.out_width, spec_.pads[0], spec_.pads[1],
                                 epilogue_});
        if (gate_.kernel != nullptr) {
          gate_.kernel->run({y + first * pixels, kOneRow, 1, (last - first) * pixels});
        }
      }
    });
  }

  // Prepares the channels of `range` for the outputs below row `first_row`.
  void Prepare(const EnginePlan& p, Range range, int64_t first_row, const float* x,
               float* planes) const noexcept {
    kernels::PrepareArgs<float> args = p.prepare_args;
    args.input = x + range.first * p.in_height * p.in_width;
    args.planes = planes + range.first * args.channel_stride;
    args.channels = range.last - range.first;
    args.row_offset = first_row * spec_.strides[0];
    p.prepare.kernel->run(args);
  }

  void RunTiles(const EnginePlan& p, const float* x, const float* residual, float* y, void* scratch,
                const ParallelFor& parallel) const noexcept {
    for (const PackedRows& rows : packed_) CountRun(rows.kernel.row);
    if (p.path == EnginePlan::Path::kDirect) return RunTasks(p, x, residual, y, parallel);
    CountRun(p.prepare.row);
    auto* planes = AlignToLine<float>(scratch);
    if (p.bands.count > 0) return RunBands(p, x, residual, y, planes, parallel);
    if (p.workspaces > 1) return RunApart(p, x, residual, y, planes, parallel);
    ForEach(p.prepare_tasks.size(), parallel,
            [&](std::size_t i) { Prepare(p, p.prepare_tasks[i], 0, x, planes); });
    RunTasks(p, planes, residual, y, parallel);
  }

  void RunTask(const EnginePlan& p, const TileTask& task, const float* input, const float* residual,
               float* y) const noexcept {
    const auto rows = static_cast<std::size_t>(task.rows_index);
    RunBlocks(packed_[rows], p.rows[rows], p.rows[rows].all, task, input, residual, y);
  }

  void RunTasks(const EnginePlan& p, const float* input, const float* residual, float* y,
                const ParallelFor& parallel) const noexcept {
    ForEach(p.tile_tasks.size(), parallel,
            [&](std::size_t i) { RunTask(p, p.tile_tasks[i], input, residual, y); });
  }

  // Each thread prepares the input for itself.
  void RunApart(const EnginePlan& p, const float* x, const float* residual, float* y,
                float* scratch, const ParallelFor& parallel) const noexcept {
    WorkspacePool workspaces(p.workspaces);
    bool prepared[WorkspacePool::kLimit] = {};  // each touched only by who has the workspace
    ForEach(p.tile_tasks.size(), parallel, [&](std::size_t i) {
      const int workspace = workspaces.Acquire();
      float* const planes = scratch + workspace * p.bands.workspace_floats;
      if (!prepared[workspace]) {
        Prepare(p, {0, spec_.in_channels}, 0, x, planes);
        prepared[workspace] = true;
      }
      RunTask(p, p.tile_tasks[i], planes, residual, y);
      workspaces.Release(workspace);
    });
  }

  void RunBands(const EnginePlan& p, const float* x, const float* residual, float* y,
                float* scratch, const ParallelFor& parallel) const noexcept {
    const Bands& bands = p.bands;
    WorkspacePool workspaces(p.workspaces);
    ForEach(bands.tasks.size(), parallel, [&](std::size_t i) {
      const int workspace = workspaces.Acquire();
      float* const planes = scratch + workspace * bands.workspace_floats;
      for (int64_t band = bands.tasks[i].first; band < bands.tasks[i].last; ++band) {
        Prepare(p, {0, spec_.in_channels}, band * bands.rows, x, planes);
        const int64_t at = band * bands.rows * p.out_width;
        for (std::size_t rows = 0; rows < packed_.size(); ++rows) {
          const bool last = band == bands.count - 1 && !p.rows[rows].last.tiles.empty();
          const TileSet& set = last ? p.rows[rows].last : p.rows[rows].all;
          const TileTask task = {static_cast<int>(rows),
                                 {0, static_cast<int64_t>(set.tiles.size())},
                                 {0, static_cast<int64_t>(packed_[rows].blocks.size())}};
          RunBlocks(packed_[rows], p.rows[rows], set, task, planes,
                    residual != nullptr ? residual + at : nullptr, y + at);
        }
      }
      workspaces.Release(workspace);
    });
  }

  void RunBlocks(const PackedRows& packed, const RowsPlan& rows, const TileSet& set,
                 const TileTask& task, const float* input, const float* residual,
                 float* y) const noexcept {
    const int64_t height = packed.kernel.kernel->rows;
    const auto blocks = static_cast<int64_t>(packed.blocks.size());
    kernels::TileArgs<float> args = {};
    kernels::GateArgs<float> gated = {};
    args.input = input;
    args.output = y;
    for (int64_t t = task.tiles.first; t < task.tiles.last; t += rows.tiles_at_once) {
      const int64_t tiles_end = std::min(t + rows.tiles_at_once, task.tiles.last);
      for (int64_t part = 0; part < rows.parts; ++part) {
        // What earlier parts have summed up waits in the output.
        const float* const added = part == 0 ? residual : y;
        args.epilogue = part == rows.parts - 1 ? epilogue_ : kNoEpilogue;
        for (int64_t b = task.blocks.first; b < task.blocks.last; ++b) {
          const PackedBlock& block = packed.blocks[static_cast<std::size_t>(b)];
          const int64_t first = rows.cuts[static_cast<std::size_t>(part * blocks + b)];
          const int64_t last = rows.cuts[static_cast<std::size_t>((part + 1) * blocks + b)];
          args.offsets = rows.offsets.data() + block.first_column + first;
          args.weights = packed.values.data() + (block.first_column + first) * height;
          args.count = last - first;
          args.bias = part == 0 ? packed.bias.data() + b * height : kNoBias;
          args.row_at = rows.row_at.data() + b * height;
          args.residual = added;
          for (int64_t i = t; i < tiles_end; ++i) {
            args.tile = &set.tiles[static_cast<std::size_t>(i)];
            set.run[static_cast<std::size_t>(i)](args);
            if (gate_.kernel == nullptr || part + 1 < rows.parts) continue;
            // A tile late: what was stored just now could not be loaded at full speed yet.
            if (gated.output != nullptr) gate_.kernel->run(gated);
            gated = {y + args.tile->out, args.row_at, height, args.tile->outputs};
          }
        }
      }
    }
    if (gated.output != nullptr) gate_.kernel->run(gated);
  }

  ConvSpec spec_;
  Isa isa_;
  kernels::Epilogue<float> epilogue_;
  Registered<GateKernel> gate_ = {};  // no kernel where the activation has no gate
  std::vector<float> bias_;
  std::vector<PackedRows> packed_;
  // Reference: as given. Depthwise: [out_channels][taps], with the zeros.
  std::vector<float> values_;
  std::vector<int32_t> positions_;
};

}  // namespace

Status Conv::Create(const ConvSpec& spec, const SparseWeightsView& weights, Isa isa,
                    std::unique_ptr<Conv>* conv) {
  return Guarded([&]() -> Status {
    const auto& supported = SupportedIsas();
    if (std::find(supported.begin(), supported.end(), isa) == supported.end()) {
      return Status::Error(std::string("instruction set ") + IsaName(isa) +
                           " is not supported here");
    }
    Status status = CheckWeights(spec, weights);
    if (!status.ok()) return status;
    const int gate = static_cast<int>(spec.activation.gate);
    if (gate != 0 && isa != Isa::kReference && FindGate(isa, gate) == nullptr) {
      return Status::Error(std::string("gate ") + std::to_string(gate) + " has no kernel for " +
                           IsaName(isa));
    }
    *conv = std::make_unique<EngineConv>(spec, weights, isa);
    return Status();
  });
}

}  // namespace alcs
