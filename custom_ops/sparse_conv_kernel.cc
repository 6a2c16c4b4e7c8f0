#include "sparse_conv_kernel.h"

#include <algorithm>
#include <utility>

#include "alcs/cpu.h"
#include "kernel_context.h"

namespace alcs::ort {
namespace {

// Enough for a few image sizes in turn; a plan is small, but not free.
constexpr std::size_t kPlansKept = 8;

}  // namespace

SparseConvKernel::SparseConvKernel(const OrtApi& api, const OrtKernelInfo* info,
                                   const SparseConvForm& form)
    : api_(api),
      form_(form),
      where_(DescribeNode(api, info, form.name)),
      memory_(api.ReleaseMemoryInfo) {
  NameErrors(where_, [&] {
    attributes_ = ReadNodeAttributes(KernelAttributes(api, info));
    CreateConv(info);
    PlanStaticShape(info);
    Check(api_, api_.CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, memory_.out()));
    if (Verbose() && static_plan_.plan != nullptr) {
      Tell(api_, info, where_ + static_plan_.plan->Describe());
    }
  });
}

void SparseConvKernel::CreateConv(const OrtKernelInfo* info) {
  ConvWeights weights;
  form_.read_weights(api_, info, attributes_, &weights);
  Isa isa = Isa::kReference;
  Status status = SelectIsa(&isa);
  if (status.ok()) status = Conv::Create(attributes_.spec, weights.view, isa, &conv_);
  if (!status.ok()) throw Error(status.message());
}

// The usual case: every size is known from the graph, and Run has nothing left to decide.
void SparseConvKernel::PlanStaticShape(const OrtKernelInfo* info) {
  Owned<OrtTypeInfo> type(api_.ReleaseTypeInfo);
  Check(api_, api_.KernelInfo_GetInputTypeInfo(info, 0, type.out()));
  const OrtTensorTypeAndShapeInfo* tensor = nullptr;
  Check(api_, api_.CastTypeInfoToTensorInfo(type.get(), &tensor));
  if (tensor == nullptr) return;
  const Shape shape = ShapeOf(api_, tensor);
  // No axes: the graph does not even say how many there are.
  if (shape.empty()) return;
  if (std::any_of(shape.begin(), shape.end(), [](int64_t size) { return size < 0; })) return;
  CheckInput(shape);
  static_plan_ = {shape, MakePlan(shape)};
}

void SparseConvKernel::CheckInput(const Shape& shape) const {
  if (shape.size() != attributes_.rank() || shape[1] != attributes_.spec.in_channels) {
    throw Error("input 'X' has the shape " + Text(shape) + " where [N, " +
                std::to_string(attributes_.spec.in_channels) +
                (attributes_.spatial_rank == 1 ? ", L]" : ", H, W]") + " is needed");
  }
}

SparseConvKernel::PlanPointer SparseConvKernel::MakePlan(const Shape& input) const {
  const int64_t height = attributes_.spatial_rank == 1 ? 1 : input[2];
  PlanPointer plan;
  const Status status = conv_->Plan(input.front(), height, input.back(), &plan);
  if (!status.ok()) throw Error(status.message());
  return plan;
}

SparseConvKernel::PlanPointer SparseConvKernel::PlanFor(const OrtKernelContext* context,
                                                        const Shape& input) {
  if (static_plan_.plan != nullptr && static_plan_.input == input) return static_plan_.plan;
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto known = std::find_if(recent_plans_.begin(), recent_plans_.end(),
                                  [&](const CachedPlan& p) { return p.input == input; });
  if (known != recent_plans_.end()) {
    std::rotate(recent_plans_.begin(), known, known + 1);
    return recent_plans_.front().plan;
  }
  CheckInput(input);
  PlanPointer plan = MakePlan(input);
  if (Verbose()) Tell(api_, context, where_ + Text(input) + ": " + plan->Describe());
  if (recent_plans_.size() == kPlansKept) recent_plans_.pop_back();
  recent_plans_.insert(recent_plans_.begin(), {input, plan});
  return plan;
}

Shape SparseConvKernel::OutputShape(const ConvSizes& sizes) const {
  Shape shape = {sizes.batch, attributes_.spec.out_channels};
  if (attributes_.spatial_rank == 2) shape.push_back(sizes.out_height);
  shape.push_back(sizes.out_width);
  return shape;
}

void SparseConvKernel::Run(OrtKernelContext* context) {
  const TensorView x = InputView(api_, context, 0);
  const PlanPointer plan = PlanFor(context, x.shape);
  const Shape shape = OutputShape(plan->sizes);

  const float* residual = nullptr;
  if (form_.residual) {
    const TensorView view = InputView(api_, context, form_.residual_input());
    if (view.shape != shape) {
      throw Error("input 'residual' has the shape " + Text(view.shape) + " and the output " +
                  Text(shape));
    }
    residual = static_cast<const float*>(view.data);
  }

  float* y = Output(api_, context, shape);
  const Scratch scratch(api_, context, memory_.get(), plan->scratch_bytes);
  plan->Run(static_cast<const float*>(x.data), residual, y, scratch.data(),
            OrtThreads(api_, context));
}

void SparseConvKernel::Compute(OrtKernelContext* context) {
  NameErrors(where_, [&] { Run(context); });
}

}  // namespace alcs::ort
