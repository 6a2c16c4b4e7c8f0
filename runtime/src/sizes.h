// Sizes of inputs and outputs, and their limits.
#ifndef ALCS_SRC_SIZES_H_
#define ALCS_SRC_SIZES_H_

#include "alcs/conv.h"

namespace alcs {

inline int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

// The sizes of a window of `spec` on n images of h x w; an error if an output would be empty or a
// channel of it not addressable in 31 bits.
Status SizesOf(const ConvSpec& spec, int64_t n, int64_t h, int64_t w, ConvSizes* sizes);

}  // namespace alcs

#endif  // ALCS_SRC_SIZES_H_
