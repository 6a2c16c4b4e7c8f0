// Weights in the form the kernels read: grouped CSR in the tile heights of one instruction set.
#ifndef ALCS_SRC_PACKING_H_
#define ALCS_SRC_PACKING_H_

#include <cstdint>
#include <vector>

#include "alcs/sparse_weights.h"
#include "registry.h"
#include "weight_memory.h"

namespace alcs {

// As many output channels of a conv group as the kernel's tile has rows, with the same stored
// columns.
struct PackedBlock {
  int64_t group;         // conv group
  int64_t first_column;  // into PackedRows::columns; the values start at this * rows
  int64_t columns;
};

// All blocks of one tile height.
struct PackedRows {
  Registered<TileKernel> kernel;
  std::vector<PackedBlock> blocks;
  std::vector<int64_t> channels;  // [blocks][kernel.rows], output channel of each row
  std::vector<float> bias;        // likewise
  std::vector<int32_t> columns;   // column of the conv group's weight matrix
  WeightVector<float> values;     // [columns.size()][kernel.rows]
};

// Stored blocks of a conv group are merged where they have the same columns, wherever they are, or
// as neighbours where the cost rule says that zeros cost less than low tiles; the rows are then cut
// into the heights of `tiles`, tallest first. `weights` has been checked. Heights without blocks
// are left out.
std::vector<PackedRows> PackRows(const ConvSpec& spec, const SparseWeightsView& weights,
                                 const Rows<TileKernel>& tiles);

}  // namespace alcs

#endif  // ALCS_SRC_PACKING_H_
