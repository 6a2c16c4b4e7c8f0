// What a kernel is told, and the table entries through which kernels are reached. Plain data only:
// this header is included by translation units compiled for different instruction sets, so it must
// not define anything that could be emitted twice (no inline functions, no standard templates).
#ifndef ALCS_SRC_KERNELS_KERNEL_API_H_
#define ALCS_SRC_KERNELS_KERNEL_API_H_

#include <cstdint>

namespace alcs {
namespace kernels {

constexpr int kMaxVectors = 8;  // vectors of pixels in a tile
constexpr int kMaxRows = 16;    // output channels in a tile

// How the pixels of a tile lie in the input plane and in the output.
enum TileMode : int {
  kFull,      // one contiguous run of whole vectors, in both
  kTail,      // the same, but the last vector is partial
  kRows,      // each vector on its own, whole
  kCompress,  // contiguous in the input, with pixels in between that are no output
  kTileModes
};

// A run of output pixels, for all output channels of a block. Offsets are in elements: `in` from
// the start of the prepared input, `out` from the start of an output channel.
struct Tile {
  int64_t in = 0;
  int64_t out = 0;
  TileMode mode = kFull;
  int32_t vectors = 0;
  // kTail: valid lanes of the last vector, and how far that vector is moved back so as to be whole
  // (instruction sets without masks; it then computes some pixels a second time).
  int32_t tail_lanes = 0;
  int32_t tail_shift = 0;
  int32_t quad = 0;  // 1 to 4 more pixels after the last vector, 0 for none
  // kRows: where each vector lies, relative to in and out. kCompress: out_at and the valid lanes.
  int32_t in_at[kMaxVectors] = {};
  int32_t out_at[kMaxVectors] = {};
  uint32_t lanes[kMaxVectors] = {};
  int32_t outputs = 0;  // per channel: from `out` on, none of them another tile's
};

// What a convolution computes with. Inputs, outputs and residuals are planes of words, one for each
// pixel, and a word holds kChannels channels.
struct Float32 {
  using Element = float;
  using Word = float;
  using Weight = float;  // a row's at a column, as kernels read it
  using Bias = float;
  static constexpr int kChannels = 1;
  static constexpr bool kPartialSums = true;  // an output can hold a sum that is not complete
  // y = clip(max(v, slope * v), low, high)
  struct Epilogue {
    float slope, low, high;
    bool has_slope, has_high;  // whether max(v, slope * v) and min(v, high) do anything
  };
};

// Integers, as alcs/quantized_conv.h tells how they are computed with.
struct Uint8 {
  using Element = uint8_t;
  using Word __attribute__((may_alias)) = uint32_t;  // four channels, the first in the low byte
  using Weight = int32_t;                            // one for each channel of a word, likewise
  struct Bias {
    int32_t sum;  // what a sum of weights x inputs begins with
    float scale;  // what the sum is multiplied by
  };
  static constexpr int kChannels = 4;
  static constexpr bool kPartialSums = false;
  struct Epilogue {
    float slope, low, high;
    bool has_slope;
    float residual_scale;
    int32_t residual_zero, y_zero;
  };
};

// As rows of the registry call them, and their names: "avx2_tile_4", "avx2_u8_tile_4".
using f32 = Float32;
using u8 = Uint8;
#define ALCS_NAME_f32(isa, what) isa##_##what
#define ALCS_NAME_u8(isa, what) isa##_u8_##what

// One block of output channels on one tile.
template <class P>
struct TileArgs {
  const Tile* tile;
  const typename P::Word* input;
  const int32_t* offsets;             // [count], into the input
  const typename P::Weight* weights;  // [count][rows]
  int64_t count;
  const typename P::Bias* bias;      // [rows]
  typename P::Word* output;          // channel 0
  const typename P::Word* residual;  // likewise; null for none
  const int64_t* row_at;  // [rows / kChannels], where each plane begins in output and residual
  typename P::Epilogue epilogue;
};

template <class P>
using TileFunction = void (*)(const TileArgs<P>&);

// What the tiles of a kernel may be.
struct TileShape {
  int lanes;        // pixels in a vector
  int max_vectors;  // at most kMaxVectors
  bool masks;       // partial vectors are loaded and stored through masks
  bool compress;    // kCompress is there
  bool quad;        // so are 1 to 4 pixels after the last vector
  bool in_place;    // an input may be read as it is: planes hold nothing else
};

// Row of the registry: a register tile of `rows` output channels by up to `max_vectors` vectors.
template <class P>
struct TileKernel {
  const char* name;
  int rows;
  double cost;  // time per column and vector, in multiply-adds at the peak (see cost_rule.h)
  TileShape shape;
  // Null where any weights will do. Otherwise those of all rows at a column are stored as the sum
  // of some that the kernel multiplies exactly by: this takes the first of them out of `column`,
  // and says whether anything is left in it.
  bool (*split)(typename P::Weight* column, typename P::Weight* exact);
  int32_t input_offset;  // what planes hold less than the input, in each channel (Uint8)
  TileFunction<P> run[kMaxVectors + 1][kTileModes][2];  // [vectors][mode][has quad], null if absent
};

// Copies an input into zero-padded planes in which every tap of the kernel is a constant offset.
// A channel holds row_planes * column_planes planes; plane (r, c) has at row j, column i the input
// pixel (j * row_stride + row_start[r] + row_offset, i * column_stride + column_start[c]), or zero.
template <class P>
struct PrepareArgs {
  const typename P::Word* input;
  typename P::Word* planes;
  int64_t channels;  // planes of words
  int64_t in_height, in_width;
  int64_t rows, width;     // of a plane
  int64_t plane_stride;    // >= rows * width; what lies between is zeroed
  int64_t channel_stride;  // >= all planes + one vector; what lies between may be overwritten
  int64_t row_stride, column_stride;
  int64_t row_offset;
  const int64_t* row_start;
  int64_t row_planes;
  const int64_t* column_start;
  int64_t column_planes;
  typename P::Word outside;  // what a pixel outside the image is, as "zero" above
};

// Row of the registry. `column_stride` 0: any.
template <class P>
struct PrepareKernel {
  const char* name;
  int column_stride;
  void (*run)(const PrepareArgs<P>&);
};

// Taps of a kernel's row that integers are multiplied by two at a time.
constexpr int WindowPairs(int kernel) { return (kernel + 1) / 2; }

// Depthwise convolution or max pooling of some channels, without padding copies. Of integers a
// "channel" is a word, and its weights are pairs of 16 bits, one tap's and the next one's or 0:
// [kernel rows][WindowPairs][kChannels].
template <class P>
struct WindowArgs {
  const typename P::Word* input;  // channel 0
  typename P::Word* output;       // channel 0
  const typename P::Word* residual;
  const typename P::Weight* weights;    // [channels][kernel * kernel]; null in pooling
  const typename P::Bias* bias;         // null in pooling
  int64_t first_channel, last_channel;  // output channels to do
  int64_t multiplier;                   // output channels per input channel
  int64_t in_height, in_width;
  int64_t out_height, out_width;
  int64_t pad_top, pad_left;
  typename P::Word outside;  // integers: what a pixel outside the image is
  typename P::Epilogue epilogue;
};

// Row of the registry.
template <class P>
struct WindowKernel {
  const char* name;
  int kernel, stride;
  void (*run)(const WindowArgs<P>&);
};

// A gate on outputs that were just stored: `pixels` adjacent ones in each of `rows` channels.
template <class P>
struct GateArgs {
  typename P::Word* output;
  const int64_t* row_at;  // [rows], where each channel's outputs begin
  int64_t rows, pixels;
};

template <class P>
struct GateKernel {
  const char* name;
  int gate;  // the value of Gate
  void (*run)(const GateArgs<P>&);
};

}  // namespace kernels
}  // namespace alcs

#endif  // ALCS_SRC_KERNELS_KERNEL_API_H_
