// The plain convolution that everything else is measured against.
#ifndef ALCS_SRC_REFERENCE_H_
#define ALCS_SRC_REFERENCE_H_

#include "alcs/conv.h"
#include "alcs/quantized_conv.h"

namespace alcs {

// `spec` and `weights` have been checked.
void ReferenceConv(const ConvSpec& spec, const SparseWeightsView& weights, const ConvSizes& sizes,
                   const float* x, const float* residual, float* y);

// Likewise. What quantized_conv.h defines, step by step.
void ReferenceQuantizedConv(const QuantizedSpec& spec, const QuantizedWeightsView& weights,
                            const ConvSizes& sizes, const uint8_t* x, const uint8_t* residual,
                            uint8_t* y);

// Of `spec` the window; x: [channels, h, w], y: [channels, out_h, out_w].
void ReferenceMaxPool(const ConvSpec& spec, int64_t channels, int64_t h, int64_t w, int64_t out_h,
                      int64_t out_w, const float* x, float* y);

}  // namespace alcs

#endif  // ALCS_SRC_REFERENCE_H_
