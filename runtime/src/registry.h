// The kernels compiled into this build, by instruction set (see kernels/kernels.inc).
#ifndef ALCS_SRC_REGISTRY_H_
#define ALCS_SRC_REGISTRY_H_

#include <vector>

#include "alcs/cpu.h"
#include "alcs/sparse_weights.h"
#include "kernels/kernel_api.h"

namespace alcs {

using TileKernel = kernels::TileKernel<float>;
using PrepareKernel = kernels::PrepareKernel<float>;
using WindowKernel = kernels::WindowKernel<float>;
using GateKernel = kernels::GateKernel<float>;

// A kernel and its row number, for counting.
template <class Kernel>
struct Registered {
  const Kernel* kernel;
  int row;
};

template <class Kernel>
using Rows = std::vector<Registered<Kernel>>;

struct KernelSet {
  Rows<TileKernel> tile;  // tallest first; the last has one row
  Rows<PrepareKernel> prepare;
  Rows<WindowKernel> depthwise;
  Rows<WindowKernel> max_pool;
  Rows<GateKernel> gate;
  int input_parts = 1;  // see alcs/isas.inc
};

// Without kernels for Isa::kReference and for what this build does not compile.
const KernelSet& KernelsOf(Isa isa);

// The row for a square window of that size and stride, or null.
const Registered<WindowKernel>* FindWindow(const Rows<WindowKernel>& rows, const int64_t kernel[2],
                                           const int64_t strides[2]);

// The row of a gate by its number, or null.
const Registered<GateKernel>* FindGate(Isa isa, int gate);

// Row numbers of Isa::kReference, which has no kernels.
int ReferenceRow();

const char* RowName(int row);

// Notes that a Run used the row.
void CountRun(int row) noexcept;

}  // namespace alcs

#endif  // ALCS_SRC_REGISTRY_H_
