// Turns the rows of kernels.inc into definitions, in the file of an instruction set.
#ifndef ALCS_SRC_KERNELS_DEFINE_KERNELS_H_
#define ALCS_SRC_KERNELS_DEFINE_KERNELS_H_

#include "kernels/depthwise.h"
#include "kernels/gate.h"
#include "kernels/kernel_api.h"
#include "kernels/prepare.h"
#include "kernels/tile.h"

#define ALCS_DEFINE_TILE(Vec, isa, rows, vectors)    \
  extern const TileKernel<Vec::T> isa##_tile_##rows; \
  constexpr TileKernel<Vec::T> isa##_tile_##rows =   \
      MakeTileKernel<Vec, rows, vectors>(#isa "_tile_" #rows);

#define ALCS_DEFINE_PREPARE(Vec, isa, stride)                                                 \
  extern const PrepareKernel<Vec::T> isa##_prepare_##stride;                                  \
  constexpr PrepareKernel<Vec::T> isa##_prepare_##stride = {#isa "_prepare_" #stride, stride, \
                                                            Prepare<Vec, stride>};

#define ALCS_DEFINE_DEPTHWISE(Vec, isa, kernel, stride)                     \
  extern const DepthwiseKernel<Vec::T> isa##_depthwise_##kernel##_##stride; \
  constexpr DepthwiseKernel<Vec::T> isa##_depthwise_##kernel##_##stride = { \
      #isa "_depthwise_" #kernel "_" #stride, kernel, stride,               \
      DepthwiseBody<Vec, kernel, stride>::Run};

#define ALCS_DEFINE_GATE(Vec, isa, function)                                     \
  extern const GateKernel<Vec::T> isa##_gate_##function;                         \
  constexpr GateKernel<Vec::T> isa##_gate_##function = {#isa "_gate_" #function, \
                                                        GateBody<Vec, function<Vec>>::Run};

#endif  // ALCS_SRC_KERNELS_DEFINE_KERNELS_H_
