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
using DepthwiseKernel = kernels::DepthwiseKernel<float>;
using GateKernel = kernels::GateKernel<float>;

// A kernel and its row number, for counting.
template <class Kernel>
struct Registered {
  const Kernel* kernel;
  int row;
};

struct KernelSet {
  std::vector<Registered<TileKernel>> tiles;  // tallest first; the last has one row
  std::vector<Registered<PrepareKernel>> prepares;
  std::vector<Registered<DepthwiseKernel>> depthwises;
  Registered<GateKernel> gates[kGates] = {};  // by Gate; none for Gate::kNone
};

// Empty for Isa::kReference.
const KernelSet& KernelsOf(Isa isa);

// Row numbers of Isa::kReference, which has no kernels.
int ReferenceRow();

const char* RowName(int row);

// Notes that a Run used the row.
void CountRun(int row) noexcept;

}  // namespace alcs

#endif  // ALCS_SRC_REGISTRY_H_
