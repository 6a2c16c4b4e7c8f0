#include "kernels/vec_avx2.h"

#define ALCS_VEC_f32 Avx2F32
#define ALCS_ROWS_AVX2
#include "kernels/define_kernels.h"
