// Cutting work into tasks for the caller's threads.
#ifndef ALCS_SRC_TASKS_H_
#define ALCS_SRC_TASKS_H_

#include <cstdint>
#include <vector>

namespace alcs {

struct Range {
  int64_t first, last;
};

// Part `i` of [0, size) cut into `parts` of about the same length.
inline Range Part(int64_t size, int64_t parts, int64_t i) {
  return {size * i / parts, size * (i + 1) / parts};
}

// [0, size) cut into at most `parts` ranges, and at most as many as a layer has tasks.
std::vector<Range> SplitEvenly(int64_t size, int64_t parts);

// Cuts [0, costs.size()) into at most `parts` ranges of about the same cost.
std::vector<Range> Balance(const std::vector<int64_t>& costs, int64_t parts);

// Into how many tasks to cut a window operation on `channels`, of `touched` pixels read or written
// each.
int64_t WindowTasks(int64_t channels, int64_t touched);

}  // namespace alcs

#endif  // ALCS_SRC_TASKS_H_
