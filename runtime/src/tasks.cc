#include "tasks.h"

#include <algorithm>

#include "cost_rule.h"

namespace alcs {

std::vector<Range> SplitEvenly(int64_t size, int64_t parts) {
  parts = std::max<int64_t>(1, std::min({parts, size, cost::kMaxTasks}));
  std::vector<Range> tasks;
  for (int64_t i = 0; i < parts; ++i) tasks.push_back(Part(size, parts, i));
  return tasks;
}

std::vector<Range> Balance(const std::vector<int64_t>& costs, int64_t parts) {
  int64_t total = 0;
  for (const int64_t cost : costs) total += cost;
  std::vector<Range> ranges;
  int64_t first = 0, done = 0;
  for (int64_t i = 0; i < static_cast<int64_t>(costs.size()); ++i) {
    done += costs[static_cast<std::size_t>(i)];
    const auto cut = static_cast<int64_t>(ranges.size()) + 1;
    const bool last = i + 1 == static_cast<int64_t>(costs.size());
    if (last || static_cast<double>(done) * static_cast<double>(parts) >=
                    static_cast<double>(total) * static_cast<double>(cut)) {
      ranges.push_back({first, i + 1});
      first = i + 1;
    }
  }
  return ranges;
}

int64_t WindowTasks(int64_t channels, int64_t touched) {
  const int64_t wanted = channels * touched / cost::kMinTaskWords;
  return std::max<int64_t>(1, std::min({wanted, channels, cost::kMaxTasks}));
}

}  // namespace alcs
