// The instruction set that the library tells whoever asks, as ALCS_FORCE_ISA chooses it.
//
// Usage: isa_test LIBRARY

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  void* library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    std::fprintf(stderr, "%s\n", dlerror());
    return 1;
  }
  const auto isa = reinterpret_cast<const char* (*)()>(dlsym(library, "alcs_isa"));
  int failures = 0;
  const auto expect = [&](bool condition, const char* what) {
    if (condition) return;
    std::fprintf(stderr, "FAILED: %s\n", what);
    ++failures;
  };
  expect(isa != nullptr, "alcs_isa is exported");
  if (isa == nullptr) return 1;
  setenv("ALCS_FORCE_ISA", "scalar", 1);
  expect(isa() != nullptr && std::strcmp(isa(), "scalar") == 0, "a forced set is told");
  setenv("ALCS_FORCE_ISA", "z80", 1);
  expect(isa() == nullptr, "null where sessions would be refused");
  unsetenv("ALCS_FORCE_ISA");
  expect(isa() != nullptr && std::strcmp(isa(), "reference") != 0, "the CPU's own otherwise");
  if (failures == 0) std::puts("isa_test: passed");
  return failures == 0 ? 0 : 1;
}
