#ifndef __clang__
// GCC's own avx512fintrin.h starts from deliberately undefined registers.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include "kernels/vec_avx512.h"

#define ALCS_VEC_f32 Avx512F32
#define ALCS_ROWS_AVX512
#include "kernels/define_kernels.h"
