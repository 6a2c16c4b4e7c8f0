// Turns the rows of kernels.inc into definitions. Included by the file of an instruction set after
// its vector types, ALCS_VEC_... for each element, and its ALCS_ROWS_... have been defined; not by
// anything else.
#include "alcs/gates.h"
#include "kernels/gate.h"
#include "kernels/kernel_api.h"
#include "kernels/prepare.h"
#include "kernels/tile.h"
#include "kernels/window.h"

#define ALCS_TEXT(name) ALCS_TEXT_OF(name)
#define ALCS_TEXT_OF(name) #name

// A constant with external linkage, made of its name and the other arguments.
#define ALCS_DEFINE(Kernel, element, isa, what, ...) \
  ALCS_CONSTANT(Kernel<element>, ALCS_NAME_##element(isa, what), __VA_ARGS__)
#define ALCS_CONSTANT(Type, name, ...) \
  extern const Type name;              \
  constexpr Type name = __VA_ARGS__;

#define ALCS_TILE(isa, element, rows, vectors, cost)             \
  ALCS_DEFINE(TileKernel, element, isa, tile_##rows,             \
              MakeTileKernel<ALCS_VEC_##element, rows, vectors>( \
                  ALCS_TEXT(ALCS_NAME_##element(isa, tile_##rows)), cost))

#define ALCS_PREPARE(isa, element, stride)                                    \
  ALCS_DEFINE(PrepareKernel, element, isa, prepare_##stride,                  \
              {ALCS_TEXT(ALCS_NAME_##element(isa, prepare_##stride)), stride, \
               Prepare<ALCS_VEC_##element, stride>})

#define ALCS_DEPTHWISE(isa, element, kernel, stride)                                               \
  ALCS_DEFINE(WindowKernel, element, isa, depthwise_##kernel##_##stride,                           \
              {ALCS_TEXT(ALCS_NAME_##element(isa, depthwise_##kernel##_##stride)), kernel, stride, \
               WindowBody<ALCS_VEC_##element, kernel, stride, WindowOp::kConvolve>::Run})

#define ALCS_MAX_POOL(isa, kernel, stride)                            \
  ALCS_DEFINE(WindowKernel, f32, isa, max_pool_##kernel##_##stride,   \
              {#isa "_max_pool_" #kernel "_" #stride, kernel, stride, \
               WindowBody<ALCS_VEC_f32, kernel, stride, WindowOp::kMax>::Run})

#define ALCS_GATE(isa, number, name, body, ...)  \
  ALCS_DEFINE(GateKernel, f32, isa, gate_##body, \
              {#isa "_gate_" #body, number, GateBody<ALCS_VEC_f32, body<ALCS_VEC_f32>>::Run})

namespace alcs {
namespace kernels {
#include "kernels/kernels.inc"
}  // namespace kernels
}  // namespace alcs
