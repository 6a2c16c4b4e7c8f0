// A few lines of test harness: TEST(name) { EXPECT(...); } and a main in harness.cc.
#ifndef ALCS_TESTS_CPP_HARNESS_H_
#define ALCS_TESTS_CPP_HARNESS_H_

#include <cstdint>
#include <sstream>
#include <string>

#include "alcs/cpu.h"

namespace alcs {
namespace test {

// The instruction set under test, as SelectIsa chose it.
Isa IsaUnderTest();

// How many random cases a sweep should run (ALCS_TEST_CASES, smaller under emulation).
int CaseCount();

// The seed of this run (ALCS_TEST_SEED, else fixed); printed on failure.
uint64_t Seed();

// Notes a failure of the running test; the first few are printed.
void Fail(const char* file, int line, const std::string& message);

struct Registration {
  Registration(const char* name, void (*body)());
};

#define TEST(name)                                                                \
  static void Test##name();                                                       \
  static const ::alcs::test::Registration registration_##name(#name, Test##name); \
  static void Test##name()

#define EXPECT(condition, message)                             \
  do {                                                         \
    if (!(condition)) {                                        \
      std::ostringstream alcs_text;                            \
      alcs_text << #condition << ": " << message;              \
      ::alcs::test::Fail(__FILE__, __LINE__, alcs_text.str()); \
    }                                                          \
  } while (false)

}  // namespace test
}  // namespace alcs

#endif  // ALCS_TESTS_CPP_HARNESS_H_
