#include "alcs/cpu.h"

#include <cstdlib>
#include <string>

#if defined(__x86_64__)
#define ALCS_CPU_X86 1
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace alcs {
namespace {

#ifdef ALCS_CPU_X86

struct CpuidRegisters {
  unsigned eax, ebx, ecx, edx;
};

CpuidRegisters Cpuid(unsigned leaf, unsigned subleaf) {
  CpuidRegisters r{};
  __get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx);
  return r;
}

// The register state that the operating system saves: a CPU flag alone does not make AVX usable.
unsigned long long EnabledState() {
  unsigned low = 0;
  unsigned high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<unsigned long long>(high) << 32) | low;
}

void AppendX86(std::vector<Isa>* isas) {
  constexpr unsigned kFma = 1U << 12;
  constexpr unsigned kOsxsave = 1U << 27;
  constexpr unsigned kAvx2 = 1U << 5;
  constexpr unsigned kAvx512 = (1U << 16) | (1U << 17) | (1U << 30) | (1U << 31);  // F DQ BW VL
  constexpr unsigned long long kYmmState = 0x6;
  constexpr unsigned long long kZmmState = 0xe6;

  const CpuidRegisters one = Cpuid(1, 0);
  if ((one.ecx & kFma) == 0 || (one.ecx & kOsxsave) == 0 || Cpuid(0, 0).eax < 7) return;
  const CpuidRegisters seven = Cpuid(7, 0);
  const unsigned long long state = EnabledState();
  if ((seven.ebx & kAvx2) == 0 || (state & kYmmState) != kYmmState) return;
  isas->push_back(Isa::kAvx2);
  if ((seven.ebx & kAvx512) == kAvx512 && (state & kZmmState) == kZmmState) {
    isas->push_back(Isa::kAvx512);
  }
}

#endif  // ALCS_CPU_X86

std::vector<Isa> FindSupported() {
  std::vector<Isa> isas = {Isa::kReference, Isa::kScalar};
#if defined(ALCS_CPU_X86) && defined(ALCS_HAVE_X86_KERNELS)
  AppendX86(&isas);
#elif defined(__aarch64__) && defined(ALCS_HAVE_NEON_KERNELS)
#ifdef __linux__
  const bool neon = (getauxval(AT_HWCAP) & HWCAP_ASIMD) != 0;
#else
  const bool neon = true;  // part of the architecture
#endif
  if (neon) isas.push_back(Isa::kNeon);
#endif
  return isas;
}

}  // namespace

const char* IsaName(Isa isa) {
  switch (isa) {
    case Isa::kReference:
      return "reference";
    case Isa::kScalar:
      return "scalar";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvx512:
      return "avx512";
    case Isa::kNeon:
      return "neon";
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
