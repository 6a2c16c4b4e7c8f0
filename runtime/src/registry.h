// The kernels compiled into this build, by instruction set (see kernels/kernels.inc).
#ifndef ALCS_SRC_REGISTRY_H_
#define ALCS_SRC_REGISTRY_H_

#include <vector>

#include "alcs/cpu.h"
#include "alcs/sparse_weights.h"
#include "kernels/kernel_api.h"

namespace alcs {

using kernels::Float32;
using kernels::GateKernel;
using kernels::PrepareKernel;
using kernels::TileKernel;
using kernels::Uint8;
using kernels::WindowKernel;

// A kernel and its row number, for counting.
template <class Kernel>
struct Registered {
  const Kernel* kernel;
  int row;
};

template <class Kernel>
using Rows = std::vector<Registered<Kernel>>;

// The kernels that compute with P, Float32 or Uint8.
template <class P>
struct KernelSet {
  Rows<TileKernel<P>> tile;  // tallest first
  Rows<PrepareKernel<P>> prepare;
  Rows<WindowKernel<P>> depthwise;
  Rows<WindowKernel<P>> max_pool;
  Rows<GateKernel<P>> gate;
  int input_parts = 1;  // see alcs/isas.inc
};

// Without kernels for Isa::kReference and for what this build does not compile.
template <class P>
const KernelSet<P>& KernelsOf(Isa isa);

// The row for a square window of that size and stride, or null.
template <class P>
const Registered<WindowKernel<P>>* FindWindow(const Rows<WindowKernel<P>>& rows,
                                              const int64_t kernel[2], const int64_t strides[2]) {
  if (kernel[0] != kernel[1] || strides[0] != strides[1]) return nullptr;
  for (const auto& row : rows) {
    if (row.kernel->kernel == kernel[0] && row.kernel->stride == strides[0]) return &row;
  }
  return nullptr;
}

// The row of a gate by its number, or null.
template <class P>
const Registered<GateKernel<P>>* FindGate(Isa isa, int gate) {
  for (const auto& row : KernelsOf<P>(isa).gate) {
    if (row.kernel->gate == gate) return &row;
  }
  return nullptr;
}

// Row numbers of Isa::kReference, which has no kernels.
int ReferenceRow();

const char* RowName(int row);

// Notes that a Run used the row.
void CountRun(int row) noexcept;

}  // namespace alcs

#endif  // ALCS_SRC_REGISTRY_H_
