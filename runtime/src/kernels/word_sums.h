// What the vector types of words share: words of four channels, each a byte (vec_scalar_u8.h).
#ifndef ALCS_SRC_KERNELS_WORD_SUMS_H_
#define ALCS_SRC_KERNELS_WORD_SUMS_H_

#include "kernels/kernel_api.h"
#include "kernels/macros.h"

namespace alcs {
namespace kernels {
namespace {

// The base of a type with as many lanes as the type F of floats, on the same registers.
template <class F>
struct WordSums {
  using P = Uint8;
  using T = Uint8::Word;
  using Float = F;
  using Floats = typename F::Reg;
  static constexpr int N = F::N;
  static constexpr int kRegisters = F::kRegisters;
  static constexpr bool kMasks = F::kMasks;
  static constexpr bool kCompress = F::kCompress;
  static constexpr bool kQuad = false;
  static constexpr bool kFreeEdges = F::kFreeEdges;
  static constexpr bool kOneAddress = F::kOneAddress;
  static constexpr bool kZeroIsOutside = false;  // LoadEdge takes what pixels outside are
  // Whether it multiplies exactly by some weights only: then SplitWeights<G> is TileKernel::split.
  static constexpr bool kSplitWeights = false;
  static constexpr int kInputOffset = 0;
  static constexpr int kWindowRows = 2;
  // Windows: every channel of a word has weights of its own. The sums of a vector of words are
  // kParts registers; where a word's channels lie in them is each type's own choice.
  static constexpr int kParts = 4;

  template <class Words>
  static ALCS_INLINE Words ForPlanes(Words words) {
    return words;
  }
  static ALCS_INLINE Floats Set1(float x) { return F::Set1(x); }
  static ALCS_INLINE Floats Add(Floats a, Floats b) { return F::Add(a, b); }
  static ALCS_INLINE Floats Mul(Floats a, Floats b) { return F::Mul(a, b); }
  static ALCS_INLINE Floats Max(Floats v, Floats bound) { return F::Max(v, bound); }
  static ALCS_INLINE Floats Min(Floats v, Floats bound) { return F::Min(v, bound); }

  using Tail = typename F::Tail;
  static ALCS_INLINE Tail MakeTail(int lanes) { return F::MakeTail(lanes); }
  using Edge = typename F::Edge;
  static ALCS_INLINE Edge MakeEdge(int64_t start, int64_t width) {
    return F::MakeEdge(start, width);
  }
};

}  // namespace
}  // namespace kernels
}  // namespace alcs

#endif  // ALCS_SRC_KERNELS_WORD_SUMS_H_
