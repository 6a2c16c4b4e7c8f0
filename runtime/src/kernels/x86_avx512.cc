#include "kernels/vec_avx512.h"

#define ALCS_VEC Avx512F32
#define ALCS_ROWS_AVX512
#include "kernels/define_kernels.h"
