#ifndef __clang__
// As in x86_avx512.cc.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include "kernels/vec_avx512_u8.h"

#define ALCS_VEC_u8 Avx512U8
#define ALCS_ROWS_AVX512VNNI
#include "kernels/define_kernels.h"
