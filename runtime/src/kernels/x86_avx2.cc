#include "kernels/define_kernels.h"
#include "kernels/vec_avx2.h"

#define ALCS_ROWS_AVX2
#define ALCS_TILE(isa, rows, vectors) ALCS_DEFINE_TILE(Avx2F32, isa, rows, vectors)
#define ALCS_PREPARE(isa, stride) ALCS_DEFINE_PREPARE(Avx2F32, isa, stride)
#define ALCS_DEPTHWISE(isa, kernel, stride) ALCS_DEFINE_DEPTHWISE(Avx2F32, isa, kernel, stride)
#define ALCS_GATE(isa, function) ALCS_DEFINE_GATE(Avx2F32, isa, function)

namespace alcs {
namespace kernels {
#include "kernels/kernels.inc"
}  // namespace kernels
}  // namespace alcs
