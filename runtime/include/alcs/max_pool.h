// Max pooling beside the sparse convolutions: a runtime that keeps its own activations in another
// layout would copy them there and back for it.
#ifndef ALCS_MAX_POOL_H_
#define ALCS_MAX_POOL_H_

#include <cstdint>

#include "alcs/conv.h"

namespace alcs {

class MaxPool {
 public:
  // ONNX's MaxPool of two axes, without indices and ceil_mode. Of `spec` only kernel, strides and
  // pads count; dilations must be 1. An error for sizes out of range and for a window that could
  // lie in the padding altogether. Windows that have no kernel are done by plain loops.
  static Status Create(const ConvSpec& spec, Isa isa, MaxPool* pool);

  // The output's height and width for images of h x w; an error if it would be empty or too large.
  Status OutputSize(int64_t h, int64_t w, int64_t* out_h, int64_t* out_w) const;

  // x: [channels, h, w]; y: [channels, out_h, out_w]; apart from each other. h and w must be some
  // that OutputSize accepts. Bitwise the same y for any `parallel`.
  void Run(int64_t channels, int64_t h, int64_t w, const float* x, float* y,
           const ParallelFor& parallel) const noexcept;

  // The same on bytes: x [words, h, w, 4], y [words, out_h, out_w, 4].
  void RunWords(int64_t words, int64_t h, int64_t w, const uint8_t* x, uint8_t* y,
                const ParallelFor& parallel) const noexcept;

  // The registry row that does the work on floats.
  const char* kernel_name() const noexcept;

 private:
  ConvSpec spec_;
  Isa isa_ = Isa::kReference;
};

}  // namespace alcs

#endif  // ALCS_MAX_POOL_H_
