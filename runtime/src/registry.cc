#include "registry.h"

#include <atomic>
#include <type_traits>

#include "alcs/conv.h"

// The build defines ALCS_ROWS_... for each instruction set whose kernels it compiles.

// Each kind of row: its member of KernelSet, its element, and its name. The expansions of
// kernels.inc below differ only in what they make of that, ALCS_ROW.
#define ALCS_TILE(isa, element, rows, ...) \
  ALCS_ROW(tile, element, isa, ALCS_NAME_##element(isa, tile_##rows))
#define ALCS_PREPARE(isa, element, stride) \
  ALCS_ROW(prepare, element, isa, ALCS_NAME_##element(isa, prepare_##stride))
#define ALCS_DEPTHWISE(isa, element, kernel, stride) \
  ALCS_ROW(depthwise, element, isa, ALCS_NAME_##element(isa, depthwise_##kernel##_##stride))
#define ALCS_MAX_POOL(isa, kernel, stride) \
  ALCS_ROW(max_pool, f32, isa, ALCS_NAME_f32(isa, max_pool_##kernel##_##stride))
#define ALCS_GATE(isa, number, name, body, ...) \
  ALCS_ROW(gate, f32, isa, ALCS_NAME_f32(isa, gate_##body))

namespace alcs {
namespace kernels {
template <class T>
struct KernelOf;
template <class Kernel>
struct KernelOf<Rows<Kernel>> {
  using Type = Kernel;
};

#define ALCS_ROW(kind, element, isa, name) \
  extern const KernelOf<decltype(KernelSet<element>::kind)>::Type name;
#include "kernels/kernels.inc"
#undef ALCS_ROW
}  // namespace kernels

namespace {

#define ALCS_ISA(name, id, ...) [[maybe_unused]] constexpr Isa k_##name = Isa::id;
#include "alcs/isas.inc"

#define ALCS_JOINED(a, b) ALCS_JOINED_OF(a, b)
#define ALCS_JOINED_OF(a, b) a##b
#define ALCS_TEXT(name) ALCS_TEXT_OF(name)
#define ALCS_TEXT_OF(name) #name

enum Row : int {
  kReferenceRow,
#define ALCS_ROW(kind, element, isa, name) ALCS_JOINED(k_row_, name),
#include "kernels/kernels.inc"
#undef ALCS_ROW
  kRowCount
};

constexpr struct {
  const char* name;
  Isa isa;
} kRowInfo[kRowCount] = {
    {"reference", Isa::kReference},
#define ALCS_ROW(kind, element, isa, name) {ALCS_TEXT(name), k_##isa},
#include "kernels/kernels.inc"
#undef ALCS_ROW
};

std::atomic<uint64_t> run_counts[kRowCount];

template <class P>
KernelSet<P> Collect(Isa isa, Isa base, int input_parts) {
  KernelSet<P> set;
  set.input_parts = P::kPartialSums ? input_parts : 1;
#define ALCS_ROW(kind, element, of, name)                              \
  if constexpr (std::is_same_v<P, kernels::element>) {                 \
    if (isa == k_##of) {                                               \
      set.kind.push_back({&kernels::name, ALCS_JOINED(k_row_, name)}); \
    }                                                                  \
  }
#include "kernels/kernels.inc"
#undef ALCS_ROW
  if (isa == base) return set;
  const KernelSet<P> under = Collect<P>(base, base, input_parts);
  const auto fill = [](auto* rows, const auto& others) {
    if (rows->empty()) *rows = others;
  };
  fill(&set.tile, under.tile);
  fill(&set.prepare, under.prepare);
  fill(&set.depthwise, under.depthwise);
  fill(&set.max_pool, under.max_pool);
  fill(&set.gate, under.gate);
  return set;
}

}  // namespace

template <class P>
const KernelSet<P>& KernelsOf(Isa isa) {
  static const KernelSet<P> sets[] = {
      Collect<P>(Isa::kReference, Isa::kReference, 1),
#define ALCS_ISA(name, id, architecture, kernels, flags, lanes, input_parts, base, needs) \
  Collect<P>(Isa::id, k_##base, input_parts),
#include "alcs/isas.inc"
  };
  return sets[static_cast<int>(isa)];
}

template const KernelSet<Float32>& KernelsOf<Float32>(Isa isa);
template const KernelSet<Uint8>& KernelsOf<Uint8>(Isa isa);

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
