// A layer made ready to run: random weights, buffers, plan.
#ifndef ALCS_BENCH_SUBJECT_H_
#define ALCS_BENCH_SUBJECT_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "alcs/conv.h"
#include "layers.h"

namespace alcs {
namespace bench {

// Floats aligned like the tensors of ONNX Runtime.
class Buffer {
 public:
  void Resize(std::size_t size);
  float* data() { return data_; }
  std::size_t size() const { return size_; }

 private:
  std::vector<float> memory_;
  float* data_ = nullptr;
  std::size_t size_ = 0;
};

class Subject {
 public:
  // Keeps a random share `density` of the groups of `simd_group` output channels (at most as many
  // as a conv group has); 0 groups whole layers.
  static Status Make(const Layer& layer, int64_t simd_group, double density, Isa isa,
                     std::unique_ptr<Subject>* subject);

  void Run() { plan_->Run(x_.data(), nullptr, y_.data(), scratch_.data(), SerialFor()); }

  // Multiply-adds of a run, on stored weights.
  double macs() const { return macs_; }
  // Touches the input: in a network, the layer before has just written it.
  void TouchInput();
  // Runs once; names the rows of the registry that this used, the one that did most first.
  std::string KernelRows();

 private:
  std::shared_ptr<const ConvPlan> plan_;
  Buffer x_, y_;
  std::vector<char> scratch_;
  double macs_ = 0;
};

}  // namespace bench
}  // namespace alcs

#endif  // ALCS_BENCH_SUBJECT_H_
