#include "harness.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

namespace alcs {
namespace test {
namespace {

constexpr int kSkipped = 77;  // what ctest takes for "skipped"
constexpr int kPrinted = 10;

struct Case {
  const char* name;
  void (*body)();
};

std::vector<Case>& Cases() {
  static std::vector<Case> cases;
  return cases;
}

int failures = 0;
Isa isa_under_test = Isa::kReference;

#ifdef ALCS_EMULATE_X86
bool IsEmulated(std::string_view feature) {
  return feature.substr(0, 6) == "avx512" || feature == "avxvnni";
}
#endif

// Whether the CPU claims an instruction set, asked without the code under test.
bool Claimed(const std::string& isa) {
#if defined(ALCS_EMULATE_X86)
#define ALCS_CPU_HAS(feature) (IsEmulated(#feature) || __builtin_cpu_supports(#feature))
#elif defined(__x86_64__)
#define ALCS_CPU_HAS(feature) __builtin_cpu_supports(#feature)
#else
#define ALCS_CPU_HAS(feature) true
#endif
#define ALCS_ISA_HERE(set, id, architecture, kernels, flags, lanes, input_parts, base, needs) \
  if (isa == #set) return needs;
#include "alcs/isas.inc"
  return isa == "reference";
}

}  // namespace

Registration::Registration(const char* name, void (*body)()) { Cases().push_back({name, body}); }

Isa IsaUnderTest() { return isa_under_test; }

int CaseCount() {
  const char* count = std::getenv("ALCS_TEST_CASES");
  return count != nullptr ? std::atoi(count) : 1500;
}

uint64_t Seed() {
  const char* seed = std::getenv("ALCS_TEST_SEED");
  return seed != nullptr ? std::strtoull(seed, nullptr, 10) : 20240607;
}

void Fail(const char* file, int line, const std::string& message) {
  if (++failures <= kPrinted) {
    std::printf("  %s:%d: %s (ALCS_TEST_SEED=%llu)\n", file, line, message.c_str(),
                static_cast<unsigned long long>(Seed()));
  }
}

}  // namespace test
}  // namespace alcs

// Arguments: names of tests to run, all if none. The instruction set is ALCS_FORCE_ISA's; with
// ALCS_TEST_EXPECT_ISA the run fails unless that one was chosen, or is skipped when the CPU does
// not claim it.
int main(int argc, char** argv) {
  using namespace alcs;
  using namespace alcs::test;
  const char* expected = std::getenv("ALCS_TEST_EXPECT_ISA");
  if (expected != nullptr && !Claimed(expected)) {
    std::printf("skipped: this CPU has no %s\n", expected);
    return kSkipped;
  }
  const Status status = SelectIsa(&isa_under_test);
  if (!status.ok()) {
    std::printf("%s\n", status.message().c_str());
    return 1;
  }
  std::printf("isa %s, seed %llu\n", IsaName(isa_under_test),
              static_cast<unsigned long long>(Seed()));
  if (expected != nullptr && std::string(expected) != IsaName(isa_under_test)) {
    std::printf("FAILED: expected %s to be chosen\n", expected);
    return 1;
  }
  int failed = 0;
  int run = 0;
  for (const auto& test : Cases()) {
    bool wanted = argc < 2;
    for (int i = 1; i < argc; ++i) wanted = wanted || std::string(argv[i]) == test.name;
    if (!wanted) continue;
    ++run;
    failures = 0;
    const auto start = std::chrono::steady_clock::now();
    test.body();
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    std::printf("%-7s %s (%.1f s)\n", failures == 0 ? "ok" : "FAILED", test.name, seconds.count());
    if (failures > kPrinted) std::printf("  and %d more\n", failures - kPrinted);
    failed += failures != 0 ? 1 : 0;
  }
  if (run == 0) std::printf("FAILED: no such test\n");
  return failed == 0 && run > 0 ? 0 : 1;
}
