// Loops unrolled at compile time, whose index is a constant in the body.
//
// In an anonymous namespace, like all code of the kernels: each instruction-set file has its own,
// compiled for its machine, and none may leave it (see kernel_api.h).
#ifndef ALCS_SRC_KERNELS_UNROLL_H_
#define ALCS_SRC_KERNELS_UNROLL_H_

#include "kernels/macros.h"

namespace alcs {
namespace kernels {
namespace {

template <int kValue>
struct Int {
  constexpr operator int() const { return kValue; }
};

// body(Int<kBegin>()), ..., body(Int<kEnd - 1>())
template <int kBegin, int kEnd, class Body>
ALCS_INLINE void Unroll(Body&& body) {
  if constexpr (kBegin < kEnd) {
    body(Int<kBegin>());
    Unroll<kBegin + 1, kEnd>(body);
  }
}

}  // namespace
}  // namespace kernels
}  // namespace alcs

#endif  // ALCS_SRC_KERNELS_UNROLL_H_
