#include "weight_memory.h"

#include <algorithm>
#include <mutex>

// The address sanitizer sees the bounds of single allocations only.
#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__)
#include <sys/mman.h>
#ifdef MADV_HUGEPAGE
#define ALCS_HUGE_PAGES
#endif
#endif

namespace alcs {
namespace {

constexpr std::size_t kLine = 64;

#ifdef ALCS_HUGE_PAGES

constexpr std::size_t kHugePage = std::size_t{2} << 20;
// Smaller arrays, those of a small network, stay with the system's allocator: a huge page takes
// memory whole.
constexpr std::size_t kLarge = std::size_t{64} << 10;
constexpr std::size_t kBlock = 2 * kHugePage;

// A mapping, filled from its beginning. It goes when its last array goes.
struct Block {
  unsigned char* begin;
  std::size_t bytes, used;
  std::size_t arrays;
};

std::mutex mutex;

// Never destroyed: arrays may outlive the end of main.
std::vector<Block>& Blocks() {
  static auto& blocks = *new std::vector<Block>;
  return blocks;
}

// Whole huge pages, at their boundaries; null if there is no more memory.
unsigned char* Map(std::size_t bytes) {
  const std::size_t more = bytes + kHugePage;
  void* const map = mmap(nullptr, more, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (map == MAP_FAILED) return nullptr;
  auto* const from = static_cast<unsigned char*>(map);
  const std::size_t skip =
      (kHugePage - reinterpret_cast<std::uintptr_t>(from) % kHugePage) % kHugePage;
  if (skip > 0) munmap(from, skip);
  munmap(from + skip + bytes, more - skip - bytes);
  // A system without huge pages gives ordinary ones.
  (void)madvise(from + skip, bytes, MADV_HUGEPAGE);
  return from + skip;
}

std::size_t RoundUp(std::size_t bytes, std::size_t to) { return (bytes + to - 1) / to * to; }

void* AllocateLarge(std::size_t bytes) {
  if (bytes > SIZE_MAX / 2) throw std::bad_alloc();
  bytes = RoundUp(bytes, kLine);
  const std::lock_guard<std::mutex> lock(mutex);
  std::vector<Block>& blocks = Blocks();
  auto block = std::find_if(blocks.begin(), blocks.end(),
                            [&](const Block& b) { return b.bytes - b.used >= bytes; });
  if (block == blocks.end()) {
    const std::size_t size = std::max(kBlock, RoundUp(bytes, kHugePage));
    blocks.reserve(blocks.size() + 1);
    unsigned char* const begin = Map(size);
    if (begin == nullptr) throw std::bad_alloc();
    blocks.push_back({begin, size, 0, 0});
    block = blocks.end() - 1;
  }
  void* const memory = block->begin + block->used;
  block->used += bytes;
  ++block->arrays;
  return memory;
}

void FreeLarge(void* memory) noexcept {
  const std::lock_guard<std::mutex> lock(mutex);
  std::vector<Block>& blocks = Blocks();
  const auto* at = static_cast<unsigned char*>(memory);
  const auto block = std::find_if(blocks.begin(), blocks.end(), [&](const Block& b) {
    return at >= b.begin && at < b.begin + b.bytes;
  });
  if (--block->arrays > 0) return;
  munmap(block->begin, block->bytes);
  blocks.erase(block);
}

#endif  // ALCS_HUGE_PAGES

}  // namespace

void* AllocateWeights(std::size_t bytes) {
#ifdef ALCS_HUGE_PAGES
  if (bytes >= kLarge) return AllocateLarge(bytes);
#endif
  return ::operator new(bytes, std::align_val_t{kLine});
}

void FreeWeights(void* memory, [[maybe_unused]] std::size_t bytes) noexcept {
#ifdef ALCS_HUGE_PAGES
  if (bytes >= kLarge) return FreeLarge(memory);
#endif
  ::operator delete(memory, std::align_val_t{kLine});
}

}  // namespace alcs
