// One sparse convolution of one session: the engine's between ORT's tensors.
#ifndef ALCS_CUSTOM_OPS_SPARSE_CONV_KERNEL_H_
#define ALCS_CUSTOM_OPS_SPARSE_CONV_KERNEL_H_

#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "conv_weights.h"
#include "node_attributes.h"
#include "ort_api.h"
#include "tensor_view.h"

namespace alcs::ort {

// How the operators differ: in what they compute with, in how weights are stored, and in whether a
// residual is added.
template <class Element>
struct SparseConvForm {
  const char* name;
  const ONNXTensorElementDataType* input_types;
  std::size_t input_count;
  std::size_t residual_input;  // which input is the residual; 0 where there is none
  MakeConv<Element> make;
};

// Weights are packed once, when the session is created. Compute may be called concurrently.
template <class Element>
class SparseConvKernel {
 public:
  // Throws an Error that names the node if anything about it is wrong.
  SparseConvKernel(const OrtApi& api, const OrtKernelInfo* info,
                   const SparseConvForm<Element>& form);

  void Compute(OrtKernelContext* context);

  const OrtApi& api() const { return api_; }

 private:
  using Plan = PlanOf<Element>;
  using PlanPointer = std::shared_ptr<const Plan>;
  struct CachedPlan {
    Shape input;
    PlanPointer plan;
  };

  void CreateConv(const OrtKernelInfo* info);
  void PlanStaticShape(const OrtKernelInfo* info);
  void Run(OrtKernelContext* context);

  void CheckInput(const Shape& shape) const;
  PlanPointer MakePlan(const Shape& input) const;
  PlanPointer PlanFor(const OrtKernelContext* context, const Shape& input);
  Shape OutputShape(const ConvSizes& sizes) const;

  const OrtApi& api_;
  const SparseConvForm<Element>& form_;
  const std::string where_;  // begins every message
  NodeAttributes attributes_;
  std::unique_ptr<ConvOf<Element>> conv_;
  Owned<OrtMemoryInfo> memory_;  // what scratch memory is asked for

  CachedPlan static_plan_;  // for the shape that the graph declares; no plan if it declares none
  std::mutex mutex_;        // guards recent_plans_
  std::vector<CachedPlan> recent_plans_;  // for other shapes, the latest used first
};

extern template class SparseConvKernel<float>;
extern template class SparseConvKernel<uint8_t>;

}  // namespace alcs::ort

#endif  // ALCS_CUSTOM_OPS_SPARSE_CONV_KERNEL_H_
