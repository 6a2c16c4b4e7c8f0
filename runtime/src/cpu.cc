#include "alcs/cpu.h"

#include <cstdint>
#include <cstdlib>
#include <string>

#include "registry.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace alcs {
namespace {

// Where CPUs tell what they can do. Those of other architectures are zero.
enum Word : int { kCpuid1Ecx, kCpuid7Ebx, kCpuid7Ecx, kCpuid71Eax, kHwcap, kWords };

struct Feature {
  Word word;
  unsigned bit;
  uint64_t state;  // registers that the operating system must save
};

struct Cpu {
  uint64_t words[kWords] = {};
  uint64_t state = 0;

  bool Has(const Feature& feature) const {
#ifdef ALCS_EMULATE_X86
    constexpr uint64_t kWideRegisters = 0xe0;  // what tells AVX-512 from AVX
    if ((feature.state & kWideRegisters) != 0 || feature.word == kCpuid71Eax) return true;
#endif
    return (words[feature.word] >> feature.bit & 1) != 0 &&
           (state & feature.state) == feature.state;
  }
};

#if defined(__x86_64__)

struct CpuidRegisters {
  unsigned eax, ebx, ecx, edx;
};

// All zero for a leaf that the CPU does not have.
CpuidRegisters Cpuid(unsigned leaf, unsigned subleaf) {
  CpuidRegisters r{};
  __get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx);
  return r;
}

// The register state that the operating system saves: a CPU flag alone does not make AVX usable.
uint64_t EnabledState() {
  unsigned low = 0;
  unsigned high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t{high} << 32) | low;
}

Cpu ReadCpu() {
  constexpr unsigned kOsxsave = 1U << 27;
  Cpu cpu;
  cpu.words[kCpuid1Ecx] = Cpuid(1, 0).ecx;
  const CpuidRegisters extended = Cpuid(7, 0);
  cpu.words[kCpuid7Ebx] = extended.ebx;
  cpu.words[kCpuid7Ecx] = extended.ecx;
  constexpr unsigned kLastSubleaf = 1;  // others are told by leaf 7 itself: it counts them
  if (extended.eax >= kLastSubleaf) cpu.words[kCpuid71Eax] = Cpuid(7, kLastSubleaf).eax;
  if ((cpu.words[kCpuid1Ecx] & kOsxsave) != 0) cpu.state = EnabledState();
  return cpu;
}

#else

Cpu ReadCpu() {
  Cpu cpu;
#if defined(__aarch64__) && defined(__linux__)
  cpu.words[kHwcap] = getauxval(AT_HWCAP);
#elif defined(__aarch64__)
  cpu.words[kHwcap] = 1U << 1;  // asimd is part of the architecture
#endif
  return cpu;
}

#endif

std::vector<Isa> FindSupported() {
#define ALCS_CPU_FEATURE(name, word, bit, state) constexpr Feature name = {word, bit, state};
#include "alcs/isas.inc"
  const Cpu cpu = ReadCpu();
  std::vector<Isa> isas = {Isa::kReference};
#define ALCS_CPU_HAS(feature) cpu.Has(feature)
#define ALCS_ISA(name, id, architecture, kernels, flags, lanes, input_parts, base, needs) \
  if (!KernelsOf<Float32>(Isa::id).tile.empty() && (needs)) isas.push_back(Isa::id);
#include "alcs/isas.inc"
#undef ALCS_CPU_HAS
  return isas;
}

}  // namespace

const char* IsaName(Isa isa) {
  switch (isa) {
    case Isa::kReference:
      return "reference";
#define ALCS_ISA(name, id, ...) \
  case Isa::id:                 \
    return #name;
#include "alcs/isas.inc"
  }
  return "unknown";
}

const std::vector<Isa>& SupportedIsas() {
  static const std::vector<Isa> isas = FindSupported();
  return isas;
}

Isa DetectIsa() { return SupportedIsas().back(); }

Status ParseIsa(std::string_view name, Isa* isa) {
  std::string known;
  for (const Isa candidate : SupportedIsas()) {
    if (name == IsaName(candidate)) {
      *isa = candidate;
      return Status();
    }
    known += known.empty() ? "" : ", ";
    known += IsaName(candidate);
  }
  return Status::Error("instruction set '" + std::string(name) +
                       "' is unknown or not supported here (supported: " + known + ")");
}

Status SelectIsa(Isa* isa) {
  const char* forced = std::getenv("ALCS_FORCE_ISA");
  if (forced == nullptr || *forced == '\0') {
    *isa = DetectIsa();
    return Status();
  }
  const Status status = ParseIsa(forced, isa);
  return status.ok() ? status : Status::Error("ALCS_FORCE_ISA: " + status.message());
}

}  // namespace alcs
