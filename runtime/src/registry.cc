#include "registry.h"

#include <atomic>

#include "alcs/conv.h"

// The build defines ALCS_ROWS_... for each instruction set whose kernels it compiles.

// Each kind of row: its member of KernelSet and what follows the instruction set in its name. The
// four expansions of kernels.inc below differ only in what they make of that, ALCS_ROW.
#define ALCS_TILE(isa, rows, vectors, cost) ALCS_ROW(tile, isa, tile_##rows)
#define ALCS_PREPARE(isa, stride) ALCS_ROW(prepare, isa, prepare_##stride)
#define ALCS_DEPTHWISE(isa, kernel, stride) ALCS_ROW(depthwise, isa, depthwise_##kernel##_##stride)
#define ALCS_MAX_POOL(isa, kernel, stride) ALCS_ROW(max_pool, isa, max_pool_##kernel##_##stride)
#define ALCS_GATE(isa, number, name, body, ...) ALCS_ROW(gate, isa, gate_##body)

namespace alcs {
namespace kernels {
template <class T>
struct KernelOf;
template <class Kernel>
struct KernelOf<Rows<Kernel>> {
  using Type = Kernel;
};

#define ALCS_ROW(kind, isa, name) \
  extern const KernelOf<decltype(KernelSet::kind)>::Type isa##_##name;
#include "kernels/kernels.inc"
#undef ALCS_ROW
}  // namespace kernels

namespace {

#define ALCS_ISA(name, id, ...) [[maybe_unused]] constexpr Isa k_##name = Isa::id;
#include "alcs/isas.inc"

enum Row : int {
  kReferenceRow,
#define ALCS_ROW(kind, isa, name) k_##isa##_##name,
#include "kernels/kernels.inc"
#undef ALCS_ROW
  kRowCount
};

constexpr struct {
  const char* name;
  Isa isa;
} kRowInfo[kRowCount] = {
    {"reference", Isa::kReference},
#define ALCS_TEXT(name) #name
#define ALCS_ROW(kind, isa, name) {#isa "_" ALCS_TEXT(name), k_##isa},
#include "kernels/kernels.inc"
#undef ALCS_ROW
};

std::atomic<uint64_t> run_counts[kRowCount];

KernelSet Collect(Isa isa, int input_parts) {
  KernelSet set;
  set.input_parts = input_parts;
#define ALCS_ROW(kind, of, name) \
  if (isa == k_##of) set.kind.push_back({&kernels::of##_##name, k_##of##_##name});
#include "kernels/kernels.inc"
#undef ALCS_ROW
  return set;
}

}  // namespace

const KernelSet& KernelsOf(Isa isa) {
  static const KernelSet sets[] = {
      Collect(Isa::kReference, 1),
#define ALCS_ISA(name, id, architecture, kernels, flags, lanes, input_parts, needs) \
  Collect(Isa::id, input_parts),
#include "alcs/isas.inc"
  };
  return sets[static_cast<int>(isa)];
}

const Registered<WindowKernel>* FindWindow(const Rows<WindowKernel>& rows, const int64_t kernel[2],
                                           const int64_t strides[2]) {
  if (kernel[0] != kernel[1] || strides[0] != strides[1]) return nullptr;
  for (const auto& row : rows) {
    if (row.kernel->kernel == kernel[0] && row.kernel->stride == strides[0]) return &row;
  }
  return nullptr;
}

const Registered<GateKernel>* FindGate(Isa isa, int gate) {
  for (const auto& row : KernelsOf(isa).gate) {
    if (row.kernel->gate == gate) return &row;
  }
  return nullptr;
}

int ReferenceRow() { return kReferenceRow; }

const char* RowName(int row) { return kRowInfo[row].name; }

void CountRun(int row) noexcept { run_counts[row].fetch_add(1, std::memory_order_relaxed); }

std::vector<KernelUse> KernelUses() {
  std::vector<KernelUse> uses;
  for (int row = 0; row < kRowCount; ++row) {
    uses.push_back(
        {kRowInfo[row].name, kRowInfo[row].isa, run_counts[row].load(std::memory_order_relaxed)});
  }
  return uses;
}

}  // namespace alcs
