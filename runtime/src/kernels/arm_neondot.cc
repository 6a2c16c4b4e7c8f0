#include "kernels/vec_neon_u8.h"

#define ALCS_VEC_u8 NeonDotU8
#define ALCS_ROWS_NEONDOT
#include "kernels/define_kernels.h"
