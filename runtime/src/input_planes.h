// Where the taps of a kernel lie in the input that tiles read.
#ifndef ALCS_SRC_INPUT_PLANES_H_
#define ALCS_SRC_INPUT_PLANES_H_

#include <vector>

#include "alcs/conv.h"
#include "kernels/kernel_api.h"

namespace alcs {

// Taps of one axis: which plane each kernel index reads, and where.
struct Axis {
  std::vector<int64_t> start;         // per plane: input index of its element 0
  std::vector<int64_t> used;          // kernel indices, ascending
  std::vector<int64_t> plane, shift;  // per used index
  int64_t max_shift = 0;

  int64_t planes() const { return static_cast<int64_t>(start.size()); }
  // What a kernel index adds to an offset.
  int64_t Place(int64_t index, int64_t plane_step, int64_t shift_step) const;
};

// Bands of output rows, each of whose inputs is prepared just before it is used, in little memory.
// For layers whose whole prepared input would not stay in the second-level cache.
struct Bands {
  int64_t count = 0;  // 0: the whole input is prepared first
  int64_t rows = 0;   // output rows of all but the last

  bool any() const { return count > 0; }
};

// x itself, or zero-padded planes in which a tap is a constant offset. Lengths are in words.
struct InputPlanes {
  bool direct = false;  // x itself
  Axis vertical, horizontal;
  int64_t width = 0;           // of a row
  int64_t rows = 0;            // of a plane
  int64_t plane_stride = 0;    // from one to the next
  int64_t channel_stride = 0;  // from all of one channel to those of the next
  int64_t words = 0;           // of all channels
  Bands bands;

  int64_t planes() const { return direct ? 1 : vertical.planes() * horizontal.planes(); }
  // Where a tap of a channel begins.
  int64_t Offset(int64_t channel, int64_t row, int64_t column) const;
};

// Lays an input out for tiles of `shape`, which read the columns `used` of the weight matrix. An
// error if it would be too large. `spec` counts words in the place of channels.
Status LayOut(const ConvSpec& spec, const ConvSizes& sizes, const std::vector<int32_t>& used,
              const kernels::TileShape& shape, InputPlanes* planes);

}  // namespace alcs

#endif  // ALCS_SRC_INPUT_PLANES_H_
