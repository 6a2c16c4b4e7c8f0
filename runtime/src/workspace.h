// Workspaces: pieces of a run's scratch memory, one for each thread at work.
#ifndef ALCS_SRC_WORKSPACE_H_
#define ALCS_SRC_WORKSPACE_H_

#include <atomic>
#include <cstdint>
#include <thread>

namespace alcs {

// A thread gets the same one every time unless another thread has just got it: what
// it wrote there last is in its own cache, and nowhere else.
class WorkspacePool {
 public:
  // As many as this machine runs threads, within reason: scratch memory has its price.
  static int Most() noexcept {
    const auto threads = static_cast<int>(std::thread::hardware_concurrency());
    return threads < 1 ? kLimit : threads < kLimit ? threads : kLimit;
  }
  static constexpr int kLimit = 16;

  explicit WorkspacePool(int count) : count_(count) {}

  // The number of a free one. Lets others run while all are taken, which takes more threads than
  // workspaces.
  int Acquire() noexcept {
    for (;;) {
      const int first = Preferred();
      for (int i = 0; i < count_; ++i) {
        const int workspace = (first + i) % count_;
        const uint32_t bit = uint32_t{1} << workspace;
        if ((taken_.load(std::memory_order_relaxed) & bit) == 0 &&
            (taken_.fetch_or(bit, std::memory_order_acquire) & bit) == 0) {
          return workspace;
        }
      }
      std::this_thread::yield();
    }
  }

  void Release(int workspace) noexcept {
    taken_.fetch_and(~(uint32_t{1} << workspace), std::memory_order_release);
  }

 private:
  // Threads are numbered as they first come here.
  static int Preferred() noexcept {
    static std::atomic<uint32_t> threads{0};
    thread_local const uint32_t number = threads.fetch_add(1, std::memory_order_relaxed);
    return static_cast<int>(number % kLimit);
  }

  const int count_;
  std::atomic<uint32_t> taken_{0};
};

}  // namespace alcs

#endif  // ALCS_SRC_WORKSPACE_H_
