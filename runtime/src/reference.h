// The plain convolution that everything else is measured against.
#ifndef ALCS_SRC_REFERENCE_H_
#define ALCS_SRC_REFERENCE_H_

#include "alcs/conv.h"

namespace alcs {

// `spec` and `weights` have been checked; `plan` holds the sizes.
void ReferenceConv(const ConvSpec& spec, const SparseWeightsView& weights, const ConvSizes& sizes,
                   const float* x, const float* residual, float* y);

// Of `spec` the window; x: [channels, h, w], y: [channels, out_h, out_w].
void ReferenceMaxPool(const ConvSpec& spec, int64_t channels, int64_t h, int64_t w, int64_t out_h,
                      int64_t out_w, const float* x, float* y);

}  // namespace alcs

#endif  // ALCS_SRC_REFERENCE_H_
