// Pieces of scratch memory, one for each thread at work.
#ifndef ALCS_SRC_SLOTS_H_
#define ALCS_SRC_SLOTS_H_

#include <atomic>
#include <cstdint>

namespace alcs {

// A thread gets the same one every time unless another thread has just got it: what
// it wrote there last is in its own cache, and nowhere else.
class Slots {
 public:
  static constexpr int kMost = 32;

  explicit Slots(int count) : count_(count) {}

  // There must be no more takers at a time than slots.
  int Take() noexcept {
    uint32_t taken = taken_.load(std::memory_order_relaxed);
    for (;;) {
      int slot = Preferred() % count_;
      while ((taken >> slot & 1U) != 0) slot = (slot + 1) % count_;
      if (taken_.compare_exchange_weak(taken, taken | uint32_t{1} << slot,
                                       std::memory_order_acquire, std::memory_order_relaxed)) {
        return slot;
      }
    }
  }

  void Give(int slot) noexcept {
    taken_.fetch_and(~(uint32_t{1} << slot), std::memory_order_release);
  }

 private:
  // Threads are numbered as they first come here.
  static int Preferred() noexcept {
    static std::atomic<uint32_t> threads{0};
    thread_local const uint32_t number = threads.fetch_add(1, std::memory_order_relaxed);
    return static_cast<int>(number % kMost);
  }

  const int count_;
  std::atomic<uint32_t> taken_{0};
};

}  // namespace alcs

#endif  // ALCS_SRC_SLOTS_H_
