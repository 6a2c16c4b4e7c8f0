// One SimdSparseConv node of one session: the engine's convolution between ORT's tensors.
#ifndef ALCS_CUSTOM_OPS_SPARSE_CONV_KERNEL_H_
#define ALCS_CUSTOM_OPS_SPARSE_CONV_KERNEL_H_

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "alcs/conv.h"
#include "node_attributes.h"
#include "ort_api.h"
#include "tensor_view.h"

namespace alcs::ort {

// Weights are packed once, when the session is created. Compute may be called concurrently.
class SparseConvKernel {
 public:
  // Throws an Error that names the node if anything about it is wrong.
  SparseConvKernel(const OrtApi& api, const OrtKernelInfo* info, bool residual);

  void Compute(OrtKernelContext* context);

  const OrtApi& api() const { return api_; }

 private:
  using PlanPointer = std::shared_ptr<const ConvPlan>;
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
  Shape OutputShape(const ConvPlan& plan) const;

  const OrtApi& api_;
  const bool residual_;
  const std::string where_;  // begins every message
  NodeAttributes attributes_;
  std::unique_ptr<Conv> conv_;
  Owned<OrtMemoryInfo> memory_;  // what scratch memory is asked for

  CachedPlan static_plan_;  // for the shape that the graph declares; no plan if it declares none
  std::mutex mutex_;        // guards recent_plans_
  std::vector<CachedPlan> recent_plans_;  // for other shapes, the latest used first
};

}  // namespace alcs::ort

#endif  // ALCS_CUSTOM_OPS_SPARSE_CONV_KERNEL_H_
