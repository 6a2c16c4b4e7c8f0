#include "kernels/vec_neon.h"

#define ALCS_VEC NeonF32
#define ALCS_ROWS_NEON
#include "kernels/define_kernels.h"
