#include "kernels/vec_avx2.h"
#include "kernels/vec_avx2_u8.h"

#define ALCS_VEC_u8 Avx2U8
#define ALCS_VEC_f32 Avx2F32
#define ALCS_ROWS_AVX2
#include "kernels/define_kernels.h"
