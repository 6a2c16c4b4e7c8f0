#include "kernels/define_kernels.h"
#include "kernels/vec_avx512.h"

#define ALCS_ROWS_AVX512
#define ALCS_TILE(isa, rows, vectors) ALCS_DEFINE_TILE(Avx512F32, isa, rows, vectors)
#define ALCS_PREPARE(isa, stride) ALCS_DEFINE_PREPARE(Avx512F32, isa, stride)
#define ALCS_DEPTHWISE(isa, kernel, stride) ALCS_DEFINE_DEPTHWISE(Avx512F32, isa, kernel, stride)
#define ALCS_GATE(isa, function) ALCS_DEFINE_GATE(Avx512F32, isa, function)

namespace alcs {
namespace kernels {
#include "kernels/kernels.inc"
}  // namespace kernels
}  // namespace alcs
