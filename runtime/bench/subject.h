// A layer made ready to run: random weights, buffers, plan.
#ifndef ALCS_BENCH_SUBJECT_H_
#define ALCS_BENCH_SUBJECT_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "alcs/conv.h"
#include "layers.h"
#include "peak.h"

namespace alcs {
namespace bench {

// Bytes aligned like the tensors of ONNX Runtime.
class Buffer {
 public:
  void Resize(std::size_t bytes);
  template <class T>
  T* as() {
    return reinterpret_cast<T*>(data_);
  }
  std::size_t bytes() const { return bytes_; }

 private:
  std::vector<char> memory_;
  char* data_ = nullptr;
  std::size_t bytes_ = 0;
};

// What a layer computes with.

class Subject {
 public:
  // Keeps a random share `density` of the groups of `simd_group` output channels (at most as many
  // as a conv group has); 0 groups whole layers. Integers are stored by words of four input
  // channels: `simd_group` is a multiple of 4 then.
  static Status Make(const Layer& layer, Element element, int64_t simd_group, double density,
                     Isa isa, std::unique_ptr<Subject>* subject);

  void Run() { run_(); }

  // Multiply-adds of a run, on stored weights.
  double macs() const { return macs_; }
  // Touches the input: in a network, the layer before has just written it.
  void TouchInput();
  // Runs once; names the rows of the registry that this used, the one that did most first.
  std::string KernelRows();

 private:
  // Buffers for a plan, and what runs it.
  template <class T>
  void Ready(std::shared_ptr<const PlanOf<T>> plan, const Layer& layer);

  std::function<void()> run_;
  std::string kernel_name_;
  Buffer x_, y_;
  std::vector<char> scratch_;
  double macs_ = 0;
};

}  // namespace bench
}  // namespace alcs

#endif  // ALCS_BENCH_SUBJECT_H_
