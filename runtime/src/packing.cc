#include "packing.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

#include "cost_rule.h"

namespace alcs {
namespace {

// Rows of one stored block. `begin` is the index of its first position.
struct Piece {
  int64_t first_row;  // within the conv group
  int64_t rows;       // without the padding of the group's last block
  int64_t begin, end;
  int64_t first_position;  // position of the block's column 0
};

// Blocks of one conv group that are stored as one: with all of their columns.
struct Run {
  int64_t rows;
  std::vector<Piece> pieces;
  std::vector<int32_t> columns;
};

// The stored blocks of `group`, those with the same columns together: where whole filters are gone,
// those that are left are scattered. `at` is the index of the group's first position, and moves to
// the next group's.
template <class P>
std::vector<Run> FindRuns(const ConvSpec& spec, const WeightGeometry& geometry,
                          const StoredWeights<P>& weights, int64_t group, int64_t* at) {
  std::vector<Run> runs;
  std::map<std::vector<int32_t>, std::size_t> known;
  for (int64_t block = 0; block < geometry.blocks_per_group; ++block) {
    const int64_t base = (group * geometry.blocks_per_group + block) * geometry.columns;
    const int64_t first_row = block * spec.simd_group;
    Piece piece = {first_row, std::min(spec.simd_group, geometry.rows_per_group - first_row), *at,
                   *at, base};
    std::vector<int32_t> columns;
    for (; piece.end < weights.nnz && weights.positions[piece.end] < base + geometry.columns;
         ++piece.end) {
      columns.push_back(static_cast<int32_t>(weights.positions[piece.end] - base));
    }
    *at = piece.end;
    const auto found = known.emplace(columns, runs.size());
    if (found.second) {
      runs.push_back({piece.rows, {piece}, std::move(columns)});
    } else {
      runs[found.first->second].rows += piece.rows;
      runs[found.first->second].pieces.push_back(piece);
    }
  }
  return runs;
}

// Joins neighbours, again and again, where the cost rule says that it pays.
template <class P>
void MergeRuns(const Rows<TileKernel<P>>& tiles, std::vector<Run>* runs) {
  for (bool merged = true; merged;) {
    merged = false;
    std::vector<Run> joined;
    for (Run& run : *runs) {
      if (!joined.empty() && joined.back().pieces.size() == run.pieces.size()) {
        Run& before = joined.back();
        std::vector<int32_t> together;
        std::set_union(before.columns.begin(), before.columns.end(), run.columns.begin(),
                       run.columns.end(), std::back_inserter(together));
        const auto count = [](const std::vector<int32_t>& columns) {
          return static_cast<int64_t>(columns.size());
        };
        if (cost::Merge(tiles, before.rows, count(before.columns), run.rows, count(run.columns),
                        count(together))) {
          before.rows += run.rows;
          before.pieces.insert(before.pieces.end(), run.pieces.begin(), run.pieces.end());
          before.columns = std::move(together);
          merged = true;
          continue;
        }
      }
      joined.push_back(std::move(run));
    }
    *runs = std::move(joined);
  }
}

// The weights of a run, [columns][rows], with zeros where a piece has no such column.
template <class P>
std::vector<typename P::Weight> DenseColumns(const Run& run, const StoredWeights<P>& weights,
                                             int64_t g) {
  std::vector<typename P::Weight> dense(run.columns.size() * static_cast<std::size_t>(run.rows));
  int64_t row = 0;
  for (const Piece& piece : run.pieces) {
    std::size_t column = 0;
    for (int64_t i = piece.begin; i < piece.end; ++i) {
      const int64_t wanted = weights.positions[i] - piece.first_position;
      while (run.columns[column] < wanted) ++column;
      std::copy_n(weights.values + i * g, piece.rows,
                  dense.begin() + static_cast<int64_t>(column) * run.rows + row);
    }
    row += piece.rows;
  }
  return dense;
}

// The weights [rows] of a column, and the column: once, or as often as the kernel needs to multiply
// exactly.
template <class P>
void AppendColumn(int32_t column, const typename P::Weight* weights, PackedRows<P>* packed) {
  const TileKernel<P>& kernel = *packed->kernel.kernel;
  std::vector<typename P::Weight> left(weights, weights + kernel.rows);
  for (bool more = true; more;) {
    const std::size_t at = packed->values.size();
    packed->values.resize(at + left.size());
    if (kernel.split != nullptr) {
      more = kernel.split(left.data(), packed->values.data() + at);
    } else {
      std::copy(left.begin(), left.end(), packed->values.begin() + static_cast<int64_t>(at));
      more = false;
    }
    packed->columns.push_back(column);
  }
}

}  // namespace

template <class P>
std::vector<PackedRows<P>> PackRows(const ConvSpec& spec, const StoredWeights<P>& weights,
                                    const Rows<TileKernel<P>>& tiles) {
  WeightGeometry geometry;
  if (!CheckSpec(spec, &geometry).ok()) return {};
  std::vector<PackedRows<P>> packed;
  for (const auto& tile : tiles) packed.push_back({tile, {}, {}, {}, {}, {}});

  int64_t at = 0;
  for (int64_t group = 0; group < spec.group; ++group) {
    std::vector<Run> runs = FindRuns(spec, geometry, weights, group, &at);
    MergeRuns(tiles, &runs);
    for (const Run& run : runs) {
      const auto dense = DenseColumns(run, weights, spec.simd_group);
      std::vector<int64_t> channels;
      for (const Piece& piece : run.pieces) {
        for (int64_t row = 0; row < piece.rows; ++row) {
          channels.push_back(group * geometry.rows_per_group + piece.first_row + row);
        }
      }
      for (int64_t row = 0; row < run.rows;) {
        auto fit = std::find_if(packed.begin(), packed.end(), [&](const PackedRows<P>& p) {
          return p.kernel.kernel->rows <= run.rows - row;
        });
        const int64_t height = fit->kernel.kernel->rows;
        const auto first_column = static_cast<int64_t>(fit->columns.size());
        for (int64_t i = row; i < row + height; ++i) {
          const int64_t channel = channels[static_cast<std::size_t>(i)];
          fit->channels.push_back(channel);
          fit->bias.push_back(weights.bias[channel]);
        }
        for (std::size_t i = 0; i < run.columns.size(); ++i) {
          AppendColumn(run.columns[i], dense.data() + static_cast<int64_t>(i) * run.rows + row,
                       &*fit);
        }
        fit->blocks.push_back(
            {group, first_column, static_cast<int64_t>(fit->columns.size()) - first_column});
        row += height;
      }
    }
  }

  packed.erase(std::remove_if(packed.begin(), packed.end(),
                              [](const PackedRows<P>& p) { return p.blocks.empty(); }),
               packed.end());
  return packed;
}

template std::vector<PackedRows<Float32>> PackRows(const ConvSpec&, const StoredWeights<Float32>&,
                                                   const Rows<TileKernel<Float32>>&);
template std::vector<PackedRows<Uint8>> PackRows(const ConvSpec&, const StoredWeights<Uint8>&,
                                                 const Rows<TileKernel<Uint8>>&);

}  // namespace alcs
