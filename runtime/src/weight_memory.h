// Memory for packed weights and their offsets.
#ifndef ALCS_SRC_WEIGHT_MEMORY_H_
#define ALCS_SRC_WEIGHT_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <new>
#include <vector>

namespace alcs {

// Aligned to cache lines, so that no vector of weights straddles two.
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

template <class T>
using WeightVector = std::vector<T, CacheLineAllocator<T>>;

}  // namespace alcs

#endif  // ALCS_SRC_WEIGHT_MEMORY_H_
