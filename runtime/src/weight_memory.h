// Memory for what a network reads once per run: packed weights and their offsets.
//
// A network of some millions of weights spreads over thousands of ordinary pages, more than a
// processor keeps translations for, and each first touch of a page then costs a walk of the page
// tables, doubly so in a virtual machine. Weights of all layers therefore lie side by side in large
// blocks that the system is asked to back by huge pages, which it may or may not do.
#ifndef ALCS_SRC_WEIGHT_MEMORY_H_
#define ALCS_SRC_WEIGHT_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <new>
#include <vector>

namespace alcs {

// Aligned to cache lines. Throws std::bad_alloc. Thread-safe.
void* AllocateWeights(std::size_t bytes);
// `bytes` as it was asked for.
void FreeWeights(void* memory, std::size_t bytes) noexcept;

template <class T>
struct WeightAllocator {
  using value_type = T;
  WeightAllocator() = default;
  template <class U>
  explicit WeightAllocator(const WeightAllocator<U>&) {}
  T* allocate(std::size_t n) {
    if (n > SIZE_MAX / sizeof(T)) throw std::bad_array_new_length();
    return static_cast<T*>(AllocateWeights(n * sizeof(T)));
  }
  void deallocate(T* p, std::size_t n) { FreeWeights(p, n * sizeof(T)); }
  friend bool operator==(const WeightAllocator&, const WeightAllocator&) { return true; }
  friend bool operator!=(const WeightAllocator&, const WeightAllocator&) { return false; }
};

template <class T>
using WeightVector = std::vector<T, WeightAllocator<T>>;

}  // namespace alcs

#endif  // ALCS_SRC_WEIGHT_MEMORY_H_
