// A ParallelFor with threads of its own.
#ifndef ALCS_TESTS_CPP_THREADS_FOR_H_
#define ALCS_TESTS_CPP_THREADS_FOR_H_

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "alcs/thread.h"

namespace alcs {
namespace test {

// Starts threads for each loop; they take indices from either end, to vary the order.
class ThreadsFor final : public ParallelFor {
 public:
  explicit ThreadsFor(int threads) : threads_(threads) {}
  void Run(std::size_t count, void (*body)(void*, std::size_t), void* context) const override {
    std::atomic<std::size_t> next{0};
    const auto work = [&](bool reverse) {
      for (std::size_t i = next++; i < count; i = next++) {
        body(context, reverse ? count - 1 - i : i);
      }
    };
    std::vector<std::thread> threads;
    for (int t = 1; t < threads_; ++t) threads.emplace_back(work, reverse_);
    work(reverse_);
    for (std::thread& thread : threads) thread.join();
    tasks_ = std::max<std::size_t>(tasks_, count);
  }
  std::size_t most_tasks() const { return tasks_; }
  void set_reverse(bool reverse) { reverse_ = reverse; }

 private:
  int threads_;
  bool reverse_ = false;
  mutable std::size_t tasks_ = 0;
};

}  // namespace test
}  // namespace alcs

#endif  // ALCS_TESTS_CPP_THREADS_FOR_H_
