// The plain convolution that everything else is measured against.
#ifndef ALCS_SRC_REFERENCE_H_
#define ALCS_SRC_REFERENCE_H_

#include "alcs/conv.h"

namespace alcs {

// `spec` and `weights` have been checked; `plan` holds the sizes.
void ReferenceConv(const ConvSpec& spec, const SparseWeightsView& weights, const ConvPlan& plan,
                   const float* x, const float* residual, float* y);

}  // namespace alcs

#endif  // ALCS_SRC_REFERENCE_H_
