#include "kernels/vec_scalar.h"
#include "kernels/vec_scalar_u8.h"

#define ALCS_VEC_u8 ScalarU8
#define ALCS_VEC_f32 ScalarF32
#define ALCS_ROWS_SCALAR
#include "kernels/define_kernels.h"
