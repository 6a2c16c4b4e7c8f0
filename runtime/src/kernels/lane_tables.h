// Which lanes of 8 go where when some are moved together, and back, for instruction sets whose
// permutations take indices but know no masks.
#ifndef ALCS_SRC_KERNELS_LANE_TABLES_H_
#define ALCS_SRC_KERNELS_LANE_TABLES_H_

#include <cstdint>

namespace alcs {
namespace kernels {
namespace {

struct LaneTable {
  uint8_t at[256][8];  // by the mask of chosen lanes
};

// Lane i of the result is the i-th chosen lane; those after the last are lane 0.
constexpr LaneTable MakeCompressTable() {
  LaneTable table{};
  for (int mask = 0; mask < 256; ++mask) {
    int next = 0;
    for (int lane = 0; lane < 8; ++lane) {
      if ((mask >> lane & 1) != 0) table.at[mask][next++] = static_cast<uint8_t>(lane);
    }
  }
  return table;
}

// The other way: a chosen lane is the one that it was moved to; the others are any.
constexpr LaneTable MakeExpandTable() {
  LaneTable table{};
  for (int mask = 0; mask < 256; ++mask) {
    int next = 0;
    for (int lane = 0; lane < 8; ++lane) {
      table.at[mask][lane] = static_cast<uint8_t>(next);
      next += mask >> lane & 1;
    }
  }
  return table;
}

constexpr LaneTable kCompressTable = MakeCompressTable();
constexpr LaneTable kExpandTable = MakeExpandTable();

}  // namespace
}  // namespace kernels
}  // namespace alcs

#endif  // ALCS_SRC_KERNELS_LANE_TABLES_H_
