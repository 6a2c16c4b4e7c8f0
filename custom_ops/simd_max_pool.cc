#include "simd_max_pool.h"

#include <string>

#include "alcs/max_pool.h"
#include "common_callbacks.h"
#include "kernel_context.h"
#include "node_attributes.h"
#include "shape_inference.h"

namespace alcs::ort {
namespace {

constexpr const char* kName = "SimdMaxPool";

// One node of one session. Compute may be called concurrently.
class MaxPoolKernel {
 public:
  MaxPoolKernel(const OrtApi& api, const OrtKernelInfo* info)
      : api_(api), where_(DescribeNode(api, info, kName)) {
    NameErrors(where_, [&] {
      const NodeAttributes node = ReadPoolAttributes(KernelAttributes(api, info));
      Isa isa = Isa::kReference;
      Status status = SelectIsa(&isa);
      if (status.ok()) status = MaxPool::Create(node.spec, isa, &pool_);
      if (!status.ok()) throw Error(status.message());
      if (Verbose()) Tell(api, info, where_ + pool_.kernel_name());
    });
  }

  void Compute(OrtKernelContext* context) const {
    NameErrors(where_, [&] { Run(context); });
  }

  const OrtApi& api() const { return api_; }

 private:
  void Run(OrtKernelContext* context) const {
    const TensorView x = InputView(api_, context, 0);
    CheckRank(x, 4, "X");
    Shape shape = x.shape;
    const Status status = pool_.OutputSize(x.shape[2], x.shape[3], &shape[2], &shape[3]);
    if (!status.ok()) throw Error(status.message());
    auto* y = static_cast<float*>(Output(api_, context, shape));
    pool_.Run(shape[0] * shape[1], x.shape[2], x.shape[3], static_cast<const float*>(x.data), y,
              OrtThreads(api_, context));
  }

  const OrtApi& api_;
  const std::string where_;
  MaxPool pool_;
};

const MaxPoolOp& Self(const OrtCustomOp* op) { return static_cast<const MaxPoolOp&>(*op); }

const char* ORT_API_CALL Name(const OrtCustomOp*) { return kName; }

std::size_t ORT_API_CALL InputCount(const OrtCustomOp*) { return 1; }

OrtStatus* ORT_API_CALL Create(const OrtCustomOp*, const OrtApi* api, const OrtKernelInfo* info,
                               void** kernel) {
  *kernel = nullptr;
  return Guard(*api, [&] { *kernel = new MaxPoolKernel(*api, info); });
}

OrtStatus* ORT_API_CALL InferOutputShape(const OrtCustomOp* op, OrtShapeInferContext* context) {
  InferShape(Self(op).api(), context, [](const AttributeSource& source) {
    return ShapeRule{ReadPoolAttributes(source), -1};
  });
  return nullptr;
}

}  // namespace

MaxPoolOp::MaxPoolOp(const OrtApi& api) : CustomOp18{}, api_(api) {
  SetCommonCallbacks(this);
  SetKernelCallbacks<MaxPoolKernel>(this);
  GetName = Name;
  GetInputTypeCount = InputCount;
  CreateKernelV2 = Create;
  InferOutputShapeFn = InferOutputShape;
}

}  // namespace alcs::ort
