// Turns the rows of kernels.inc into definitions. Included by the file of an instruction set after
// its vector type, ALCS_VEC, and its ALCS_ROWS_... have been defined; not by anything else.
#include "alcs/gates.h"
#include "kernels/gate.h"
#include "kernels/kernel_api.h"
#include "kernels/prepare.h"
#include "kernels/tile.h"
#include "kernels/window.h"

// A constant with external linkage, made of the arguments.
#define ALCS_DEFINE(Kernel, name, ...)   \
  extern const Kernel<ALCS_VEC::T> name; \
  constexpr Kernel<ALCS_VEC::T> name = __VA_ARGS__;

#define ALCS_TILE(isa, rows, vectors, cost)  \
  ALCS_DEFINE(TileKernel, isa##_tile_##rows, \
              MakeTileKernel<ALCS_VEC, rows, vectors>(#isa "_tile_" #rows, cost))

#define ALCS_PREPARE(isa, stride)                    \
  ALCS_DEFINE(PrepareKernel, isa##_prepare_##stride, \
              {#isa "_prepare_" #stride, stride, Prepare<ALCS_VEC, stride>})

#define ALCS_DEPTHWISE(isa, kernel, stride)                            \
  ALCS_DEFINE(WindowKernel, isa##_depthwise_##kernel##_##stride,       \
              {#isa "_depthwise_" #kernel "_" #stride, kernel, stride, \
               WindowBody<ALCS_VEC, kernel, stride, WindowOp::kConvolve>::Run})

#define ALCS_MAX_POOL(isa, kernel, stride)                            \
  ALCS_DEFINE(WindowKernel, isa##_max_pool_##kernel##_##stride,       \
              {#isa "_max_pool_" #kernel "_" #stride, kernel, stride, \
               WindowBody<ALCS_VEC, kernel, stride, WindowOp::kMax>::Run})

#define ALCS_GATE(isa, number, name, body, ...) \
  ALCS_DEFINE(GateKernel, isa##_gate_##body,    \
              {#isa "_gate_" #body, number, GateBody<ALCS_VEC, body<ALCS_VEC>>::Run})

namespace alcs {
namespace kernels {
#include "kernels/kernels.inc"
}  // namespace kernels
}  // namespace alcs
