#include "kernels/vec_neon.h"
#include "kernels/vec_neon_u8.h"

#define ALCS_VEC_u8 NeonU8
#define ALCS_VEC_f32 NeonF32
#define ALCS_ROWS_NEON
#include "kernels/define_kernels.h"
