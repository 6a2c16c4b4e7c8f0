#include "registry.h"

#include <atomic>

#include "alcs/conv.h"

#define ALCS_ROWS_SCALAR
#ifdef ALCS_HAVE_X86_KERNELS
#define ALCS_ROWS_AVX2
#define ALCS_ROWS_AVX512
#endif
#ifdef ALCS_HAVE_NEON_KERNELS
#define ALCS_ROWS_NEON
#endif

namespace alcs {

// The declarations.
namespace kernels {
#define ALCS_TILE(isa, rows, vectors) extern const TileKernel<float> isa##_tile_##rows;
#define ALCS_PREPARE(isa, stride) extern const PrepareKernel<float> isa##_prepare_##stride;
#define ALCS_DEPTHWISE(isa, kernel, stride) \
  extern const DepthwiseKernel<float> isa##_depthwise_##kernel##_##stride;
#define ALCS_GATE(isa, function) extern const GateKernel<float> isa##_gate_##function;
#include "kernels/kernels.inc"
#undef ALCS_TILE
#undef ALCS_PREPARE
#undef ALCS_DEPTHWISE
#undef ALCS_GATE
}  // namespace kernels

namespace {

constexpr Isa k_scalar = Isa::kScalar;
[[maybe_unused]] constexpr Isa k_avx2 = Isa::kAvx2;
[[maybe_unused]] constexpr Isa k_avx512 = Isa::kAvx512;
[[maybe_unused]] constexpr Isa k_neon = Isa::kNeon;

constexpr Gate k_hard_swish = Gate::kHardSwish;
constexpr Gate k_silu = Gate::kSilu;

enum Row : int {
  kReferenceRow,
#define ALCS_TILE(isa, rows, vectors) k_##isa##_tile_##rows,
#define ALCS_PREPARE(isa, stride) k_##isa##_prepare_##stride,
#define ALCS_DEPTHWISE(isa, kernel, stride) k_##isa##_depthwise_##kernel##_##stride,
#define ALCS_GATE(isa, function) k_##isa##_gate_##function,
#include "kernels/kernels.inc"
#undef ALCS_TILE
#undef ALCS_PREPARE
#undef ALCS_DEPTHWISE
#undef ALCS_GATE
  kRowCount
};

constexpr struct {
  const char* name;
  Isa isa;
} kRowInfo[kRowCount] = {
    {"reference", Isa::kReference},
#define ALCS_TILE(isa, rows, vectors) {#isa "_tile_" #rows, k_##isa},
#define ALCS_PREPARE(isa, stride) {#isa "_prepare_" #stride, k_##isa},
#define ALCS_DEPTHWISE(isa, kernel, stride) {#isa "_depthwise_" #kernel "_" #stride, k_##isa},
#define ALCS_GATE(isa, function) {#isa "_gate_" #function, k_##isa},
#include "kernels/kernels.inc"
#undef ALCS_TILE
#undef ALCS_PREPARE
#undef ALCS_DEPTHWISE
#undef ALCS_GATE
};

std::atomic<uint64_t> run_counts[kRowCount];

KernelSet Collect(Isa isa) {
  KernelSet set;
#define ALCS_TILE(name, rows, vectors) \
  if (isa == k_##name) set.tiles.push_back({&kernels::name##_tile_##rows, k_##name##_tile_##rows});
#define ALCS_PREPARE(name, stride)                                                            \
  if (isa == k_##name) {                                                                      \
    set.prepares.push_back({&kernels::name##_prepare_##stride, k_##name##_prepare_##stride}); \
  }
#define ALCS_DEPTHWISE(name, kernel, stride)                                  \
  if (isa == k_##name) {                                                      \
    set.depthwises.push_back({&kernels::name##_depthwise_##kernel##_##stride, \
                              k_##name##_depthwise_##kernel##_##stride});     \
  }
#define ALCS_GATE(name, function)                                                  \
  if (isa == k_##name) {                                                           \
    set.gates[static_cast<int>(k_##function)] = {&kernels::name##_gate_##function, \
                                                 k_##name##_gate_##function};      \
  }
#include "kernels/kernels.inc"
#undef ALCS_TILE
#undef ALCS_PREPARE
#undef ALCS_DEPTHWISE
#undef ALCS_GATE
  return set;
}

}  // namespace

const KernelSet& KernelsOf(Isa isa) {
  static const KernelSet sets[] = {Collect(Isa::kReference), Collect(Isa::kScalar),
                                   Collect(Isa::kAvx2), Collect(Isa::kAvx512), Collect(Isa::kNeon)};
  return sets[static_cast<int>(isa)];
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
