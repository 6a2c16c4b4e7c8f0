// The sparse convolution: created once per layer, planned once per input size, run many times.
#ifndef ALCS_CONV_H_
#define ALCS_CONV_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "alcs/cpu.h"
#include "alcs/sparse_weights.h"
#include "alcs/status.h"
#include "alcs/thread.h"

namespace alcs {

// Height and width of an input and of what comes of it, and how many images there are.
struct ConvSizes {
  int64_t batch = 0;
  int64_t in_height = 0, in_width = 0;
  int64_t out_height = 0, out_width = 0;
};

// A convolution of one input size, ready to run. Immutable, so any number of threads may use one.
template <class Element>
class PlanOf {
 public:
  virtual ~PlanOf() = default;
  PlanOf(const PlanOf&) = delete;
  PlanOf& operator=(const PlanOf&) = delete;

  // x: [n, in_channels, h, w]; residual: as y, or null; y: [n, out_channels, out_h, out_w];
  // scratch: scratch_bytes. y may be residual itself; else it overlaps none of the others.
  // Allocates nothing, may be called concurrently (each call with its own scratch), and gives
  // bitwise the same y however `parallel` spreads the work.
  virtual void Run(const Element* x, const Element* residual, Element* y, void* scratch,
                   const ParallelFor& parallel) const noexcept = 0;

  // The registry row that does most of the work, for logs and tests: "avx512_tile_8", ...
  virtual const char* kernel_name() const noexcept = 0;

  // One line on how it is carried out, for people: kernels, how the input is read, tasks.
  virtual std::string Describe() const = 0;

  const ConvSizes sizes;
  // What Run needs besides its operands; may be 0. Any alignment will do.
  const std::size_t scratch_bytes;

 protected:
  PlanOf(const ConvSizes& of, std::size_t scratch) : sizes(of), scratch_bytes(scratch) {}
};

using ConvPlan = PlanOf<float>;

// A convolution of any input size.
template <class Element>
class ConvOf {
 public:
  virtual ~ConvOf() = default;
  ConvOf(const ConvOf&) = delete;
  ConvOf& operator=(const ConvOf&) = delete;

  // Plans for an input of [n, in_channels, h, w]. n may be 0. Thread-safe. Plans are not cached:
  // the caller keeps the one it uses, which shares the weights and may outlive this. An error if
  // the output would be empty or too large.
  virtual Status Plan(int64_t n, int64_t h, int64_t w,
                      std::shared_ptr<const PlanOf<Element>>* plan) const = 0;

 protected:
  ConvOf() = default;
};

// y = activation(conv(x) + bias [+ residual]), all NCHW float32.
class Conv : public ConvOf<float> {
 public:
  // Validates, then repacks the weights for the register tiles of `isa`; the view may be freed
  // afterwards. Weights may come from anywhere: whatever is wrong with them is an error here.
  static Status Create(const ConvSpec& spec, const SparseWeightsView& weights, Isa isa,
                       std::unique_ptr<Conv>* conv);
};

// A row of the kernel registry and how many times Run has used it in this process.
struct KernelUse {
  const char* name;
  Isa isa;
  uint64_t runs;
};

// All rows compiled into this build. For tests and benchmarks.
std::vector<KernelUse> KernelUses();

}  // namespace alcs

#endif  // ALCS_CONV_H_
