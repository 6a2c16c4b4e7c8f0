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
// columns. A column may stand there more than once, its weights in parts (TileKernel::split).
struct PackedBlock {
  int64_t group;         // conv group
  int64_t first_column;  // into PackedRows::columns; the values start at this * rows
  int64_t columns;
};

// All blocks of one tile height.
template <class P>
struct PackedRows {
  Registered<TileKernel<P>> kernel;
  std::vector<PackedBlock> blocks;
  std::vector<int64_t> channels;            // [blocks][kernel.rows], output channel of each row
  std::vector<typename P::Bias> bias;       // likewise
  std::vector<int32_t> columns;             // column of the conv group's weight matrix
  WeightVector<typename P::Weight> values;  // [columns.size()][kernel.rows]
};

// Weights that have been checked: those of SparseWeightsView.
template <class P>
struct StoredWeights {
  const typename P::Weight* values;  // [nnz, simd_group]
  const int32_t* positions;          // [nnz]
  int64_t nnz;
  const typename P::Bias* bias;  // [out_channels]
};

// Stored blocks of a conv group are merged where they have the same columns, wherever they are, or
// as neighbours where the cost rule says that zeros cost less than low tiles; the rows are then cut
// into the heights of `tiles`, tallest first. Heights without blocks are left out. `spec` counts
// words in the place of input channels.
template <class P>
std::vector<PackedRows<P>> PackRows(const ConvSpec& spec, const StoredWeights<P>& weights,
                                    const Rows<TileKernel<P>>& tiles);

}  // namespace alcs

#endif  // ALCS_SRC_PACKING_H_
