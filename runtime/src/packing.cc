#include "packing.h"

#include <algorithm>

namespace alcs {
namespace {

// Stored blocks in a row, of one conv group and with the same columns.
struct Run {
  int64_t first_block;
  int64_t rows;     // without the padding of the group's last block
  int64_t begin;    // index of the first block's first position
  int64_t columns;  // of each block
};

}  // namespace

std::vector<PackedRows> PackRows(const ConvSpec& spec, const SparseWeightsView& weights,
                                 const std::vector<Registered<TileKernel>>& kernels) {
  WeightGeometry geometry;
  if (!CheckSpec(spec, &geometry).ok()) return {};
  const int64_t g = spec.simd_group;
  std::vector<PackedRows> packed;
  for (const auto& kernel : kernels) packed.push_back({kernel, {}, {}, {}});

  const auto append = [&](const Run& run, int64_t group) {
    const int64_t first_channel =
        group * geometry.rows_per_group + run.first_block % geometry.blocks_per_group * g;
    int64_t row = 0;
    while (row < run.rows) {
      auto fit = std::find_if(packed.begin(), packed.end(), [&](const PackedRows& p) {
        return p.kernel.kernel->rows <= run.rows - row;
      });
      const int64_t height = fit->kernel.kernel->rows;
      fit->blocks.push_back(
          {first_channel + row, group, static_cast<int64_t>(fit->columns.size()), run.columns});
      for (int64_t i = 0; i < run.columns; ++i) {
        fit->columns.push_back(static_cast<int32_t>(weights.positions[run.begin + i] -
                                                    run.first_block * geometry.columns));
        for (int64_t r = row; r < row + height; ++r) {
          const int64_t position = run.begin + r / g * run.columns + i;
          fit->values.push_back(weights.values[position * g + r % g]);
        }
      }
      row += height;
    }
  };

  int64_t at = 0;
  for (int64_t group = 0; group < spec.group; ++group) {
    Run run{0, 0, 0, -1};
    const int64_t first = group * geometry.blocks_per_group;
    for (int64_t block = first; block < first + geometry.blocks_per_group; ++block) {
      const int64_t begin = at;
      while (at < weights.nnz && weights.positions[at] < (block + 1) * geometry.columns) ++at;
      const int64_t rows = std::min(g, geometry.rows_per_group - (block - first) * g);
      const int64_t apart = (block - run.first_block) * geometry.columns;
      const bool same = run.columns == at - begin &&
                        std::equal(weights.positions + begin, weights.positions + at,
                                   weights.positions + run.begin,
                                   [&](int32_t a, int32_t b) { return a == b + apart; });
      if (same) {
        run.rows += rows;
      } else {
        if (run.columns >= 0) append(run, group);
        run = {block, rows, begin, at - begin};
      }
    }
    append(run, group);
  }

  packed.erase(std::remove_if(packed.begin(), packed.end(),
                              [](const PackedRows& p) { return p.blocks.empty(); }),
               packed.end());
  return packed;
}

}  // namespace alcs
