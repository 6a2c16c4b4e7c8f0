#include "kernels/vec_scalar.h"

#define ALCS_VEC ScalarVec<float>
#define ALCS_ROWS_SCALAR
#include "kernels/define_kernels.h"
