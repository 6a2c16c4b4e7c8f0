// Weights in the form the kernels read: grouped CSR in the tile heights of one instruction set.
#ifndef ALCS_SRC_PACKING_H_
#define ALCS_SRC_PACKING_H_

#include <cstddef>
#include <cstdint>
#include <new>
#include <vector>

#include "alcs/sparse_weights.h"
#include "registry.h"

namespace alcs {

// So that no weight vector straddles a cache line.
template <class T>
struct CacheLineAllocator {
  using value_type = T;
  static constexpr std::align_val_t kAlignment{64};
  CacheLineAllocator() = default;
  template <class U>
  explicit CacheLineAllocator(const CacheLineAllocator<U>&) {}
  T* allocate(std::size_t n) {
    if (n > SIZE_MAX / sizeof(T)) throw std::bad_array_new_length();
    return static_cast<T*>(::operator new(n * sizeof(T), kAlignment));
  }
  void deallocate(T* p, std::size_t) { ::operator delete(p, kAlignment); }
  friend bool operator==(const CacheLineAllocator&, const CacheLineAllocator&) { return true; }
  friend bool operator!=(const CacheLineAllocator&, const CacheLineAllocator&) { return false; }
};

// As many adjacent output channels as the kernel's tile has rows, with the same stored columns.
struct PackedBlock {
  int64_t first_channel;  // output channel of the first row
  int64_t group;          // conv group
  int64_t first_column;   // into PackedRows::columns; the values start at this * rows
  int64_t columns;
};

// All blocks of one tile height.
struct PackedRows {
  Registered<TileKernel> kernel;
  std::vector<PackedBlock> blocks;
  std::vector<int32_t> columns;                          // column of the conv group's weight matrix
  std::vector<float, CacheLineAllocator<float>> values;  // [columns.size()][kernel.rows]
};

// Adjacent stored blocks with the same columns are merged, and the rows cut into the tile heights
// of `kernels`, tallest first. `weights` has been checked. Heights without blocks are left out.
std::vector<PackedRows> PackRows(const ConvSpec& spec, const SparseWeightsView& weights,
                                 const std::vector<Registered<TileKernel>>& kernels);

}  // namespace alcs

#endif  // ALCS_SRC_PACKING_H_
