// What register tiles ask of a vector type beside loads and stores, for floats: a sum is a vector.
#ifndef ALCS_SRC_KERNELS_FLOAT_SUMS_H_
#define ALCS_SRC_KERNELS_FLOAT_SUMS_H_

#include "kernels/kernel_api.h"
#include "kernels/macros.h"

namespace alcs {
namespace kernels {
namespace {

// The base of the vector type V with registers Registers::Reg. (A register type by itself would
// lose its attributes as an argument.)
template <class V, class Registers>
struct FloatSums {
  using Reg = typename Registers::Reg;
  using P = Float32;                     // what is computed with
  using Sum = Reg;                       // of products, in a tile
  using Input = Reg;                     // what loaded words are multiplied as
  using WindowSum = Reg;                 // of products, in a window
  static constexpr int kWindowRows = 7;  // of outputs at once; the usual map sizes are multiples
  static constexpr bool kZeroIsOutside = true;  // LoadEdge gives what pixels outside are
  static constexpr bool kSplitWeights = false;
  static constexpr int kInputOffset = 0;  // that ForPlanes takes from inputs

  // What planes hold of an input: a vector of words, or one.
  template <class Words>
  static ALCS_INLINE Words ForPlanes(Words words) {
    return words;
  }
  static ALCS_INLINE Input MakeInput(Reg loaded) { return loaded; }
  static ALCS_INLINE Sum Start(float bias) { return V::Set1(bias); }
  // `weight` is what Weights<G>::Get gives.
  template <class Weight>
  static ALCS_INLINE Sum MultiplyAdd(const Weight& weight, Input x, Sum sum) {
    return V::Fma(weight, x, sum);
  }
};

}  // namespace
}  // namespace kernels
}  // namespace alcs

#endif  // ALCS_SRC_KERNELS_FLOAT_SUMS_H_
