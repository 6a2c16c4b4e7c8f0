// Compiler-specific spellings used by the kernels.
#ifndef ALCS_SRC_KERNELS_MACROS_H_
#define ALCS_SRC_KERNELS_MACROS_H_

#ifndef __GNUC__
#error "the kernels need GCC or Clang (on Windows: clang-cl)"
#endif

#define ALCS_INLINE inline __attribute__((always_inline))
#define ALCS_NOINLINE __attribute__((noinline))
#define ALCS_INLINE_LAMBDA __attribute__((always_inline))
#define ALCS_PREFETCH_READ(address) __builtin_prefetch((address), 0, 3)

// Keeps a value in a register: without it the compiler folds a load shared by several
// multiply-adds back into each of them, and the load ports become the bottleneck.
#ifdef ALCS_EMULATE_X86  // its vectors are no registers (tests/cpp/emulated)
#define ALCS_KEEP_IN_REGISTER(value) ((void)(value))
#elif defined(__x86_64__)
#define ALCS_KEEP_IN_REGISTER(value) __asm__("" : "+v"(value))
#elif defined(__aarch64__)
#define ALCS_KEEP_IN_REGISTER(value) __asm__("" : "+w"(value))
#else
#define ALCS_KEEP_IN_REGISTER(value) ((void)(value))
#endif

// Makes a compiler work out an address once, where it would do so again for every use of it.
#define ALCS_KEEP_ADDRESS(pointer) __asm__("" : "+r"(pointer))

#endif  // ALCS_SRC_KERNELS_MACROS_H_
