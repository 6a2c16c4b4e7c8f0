#include "kernels/vec_neon.h"

#define ALCS_VEC_f32 NeonF32
#define ALCS_ROWS_NEON
#include "kernels/define_kernels.h"
