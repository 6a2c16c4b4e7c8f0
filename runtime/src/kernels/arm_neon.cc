#include "kernels/define_kernels.h"
#include "kernels/vec_neon.h"

#define ALCS_ROWS_NEON
#define ALCS_TILE(isa, rows, vectors) ALCS_DEFINE_TILE(NeonF32, isa, rows, vectors)
#define ALCS_PREPARE(isa, stride) ALCS_DEFINE_PREPARE(NeonF32, isa, stride)
#define ALCS_DEPTHWISE(isa, kernel, stride) ALCS_DEFINE_DEPTHWISE(NeonF32, isa, kernel, stride)
#define ALCS_GATE(isa, function) ALCS_DEFINE_GATE(NeonF32, isa, function)

namespace alcs {
namespace kernels {
#include "kernels/kernels.inc"
}  // namespace kernels
}  // namespace alcs
