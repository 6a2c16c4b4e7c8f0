#include "kernels/vec_avx2.h"
#include "kernels/vec_avx2_u8.h"

#define ALCS_VEC_u8 AvxVnniU8
#define ALCS_ROWS_AVXVNNI
#include "kernels/define_kernels.h"
