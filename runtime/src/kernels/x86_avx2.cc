#include "kernels/vec_avx2.h"

#define ALCS_VEC Avx2F32
#define ALCS_ROWS_AVX2
#include "kernels/define_kernels.h"
