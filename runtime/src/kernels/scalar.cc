#include "kernels/define_kernels.h"
#include "kernels/vec_scalar.h"

#define ALCS_ROWS_SCALAR
#define ALCS_TILE(isa, rows, vectors) ALCS_DEFINE_TILE(ScalarVec<float>, isa, rows, vectors)
#define ALCS_PREPARE(isa, stride) ALCS_DEFINE_PREPARE(ScalarVec<float>, isa, stride)
#define ALCS_DEPTHWISE(isa, kernel, stride) \
  ALCS_DEFINE_DEPTHWISE(ScalarVec<float>, isa, kernel, stride)
#define ALCS_GATE(isa, function) ALCS_DEFINE_GATE(ScalarVec<float>, isa, function)

namespace alcs {
namespace kernels {
#include "kernels/kernels.inc"
}  // namespace kernels
}  // namespace alcs
