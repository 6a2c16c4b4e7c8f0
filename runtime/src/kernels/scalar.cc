#include "kernels/vec_scalar.h"

#define ALCS_VEC_f32 ScalarF32
#define ALCS_ROWS_SCALAR
#include "kernels/define_kernels.h"
