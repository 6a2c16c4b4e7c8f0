// Convolution by register tiles.
#ifndef ALCS_SRC_TILED_CONV_H_
#define ALCS_SRC_TILED_CONV_H_

#include "tiled_plan.h"

namespace alcs {

// y = epilogue(conv(x) + bias, residual) for one image; x, residual and y as planes of words.
template <class P>
void RunTiles(const TiledLayer<P>& layer, const TiledPlan<P>& plan, const typename P::Word* x,
              const typename P::Word* residual, typename P::Word* y, void* scratch,
              const ParallelFor& parallel) noexcept;

}  // namespace alcs

#endif  // ALCS_SRC_TILED_CONV_H_
