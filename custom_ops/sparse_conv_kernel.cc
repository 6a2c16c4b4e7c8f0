#include "sparse_conv_kernel.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "alcs/channel_words.h"
#include "alcs/cpu.h"
#include "kernel_context.h"

namespace alcs::ort {
namespace {

// Enough for a few image sizes in turn; a plan is small, but not free.
constexpr std::size_t kPlansKept = 8;

// How many channels of a pixel lie together: floats are in planes, integers in words.
template <class Element>
constexpr int64_t kTogether = std::is_same_v<Element, float> ? 1 : kWordChannels;

template <class Element>
int64_t AxisOf(int64_t channels) {
  return kTogether<Element> == 1 ? channels : WordsOf(channels);
}

}  // namespace

template <class Element>
SparseConvKernel<Element>::SparseConvKernel(const OrtApi& api, const OrtKernelInfo* info,
                                            const SparseConvForm<Element>& form)
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

template <class Element>
void SparseConvKernel<Element>::CreateConv(const OrtKernelInfo* info) {
  Isa isa = Isa::kReference;
  const Status status = SelectIsa(&isa);
  if (!status.ok()) throw Error(status.message());
  conv_ = form_.make(api_, info, attributes_, isa);
}

// The usual case: every size is known from the graph, and Run has nothing left to decide.
template <class Element>
void SparseConvKernel<Element>::PlanStaticShape(const OrtKernelInfo* info) {
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

template <class Element>
void SparseConvKernel<Element>::CheckInput(const Shape& shape) const {
  const int64_t axis = AxisOf<Element>(attributes_.spec.in_channels);
  const bool words = kTogether<Element> > 1;
  if (shape.size() != attributes_.rank() + (words ? 1 : 0) || shape[1] != axis ||
      (words && shape.back() != kTogether<Element>)) {
    throw Error("input 'X' has the shape " + Text(shape) + " where [N, " + std::to_string(axis) +
                (attributes_.spatial_rank == 1 ? ", L" : ", H, W") + (words ? ", 4]" : "]") +
                " is needed");
  }
}

template <class Element>
typename SparseConvKernel<Element>::PlanPointer SparseConvKernel<Element>::MakePlan(
    const Shape& input) const {
  const int64_t height = attributes_.spatial_rank == 1 ? 1 : input[2];
  const int64_t width = input[attributes_.rank() - 1];
  PlanPointer plan;
  const Status status = conv_->Plan(input.front(), height, width, &plan);
  if (!status.ok()) throw Error(status.message());
  return plan;
}

template <class Element>
typename SparseConvKernel<Element>::PlanPointer SparseConvKernel<Element>::PlanFor(
    const OrtKernelContext* context, const Shape& input) {
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

template <class Element>
Shape SparseConvKernel<Element>::OutputShape(const ConvSizes& sizes) const {
  Shape shape = {sizes.batch, AxisOf<Element>(attributes_.spec.out_channels)};
  if (attributes_.spatial_rank == 2) shape.push_back(sizes.out_height);
  shape.push_back(sizes.out_width);
  if (kTogether<Element> > 1) shape.push_back(kTogether<Element>);
  return shape;
}

template <class Element>
void SparseConvKernel<Element>::Run(OrtKernelContext* context) {
  const TensorView x = InputView(api_, context, 0);
  const PlanPointer plan = PlanFor(context, x.shape);
  const Shape shape = OutputShape(plan->sizes);

  const Element* residual = nullptr;
  if (form_.residual_input != 0) {
    const TensorView view = InputView(api_, context, form_.residual_input);
    if (view.shape != shape) {
      throw Error("input 'residual' has the shape " + Text(view.shape) + " and the output " +
                  Text(shape));
    }
    residual = static_cast<const Element*>(view.data);
  }

  auto* y = static_cast<Element*>(Output(api_, context, shape));
  const Scratch scratch(api_, context, memory_.get(), plan->scratch_bytes);
  plan->Run(static_cast<const Element*>(x.data), residual, y, scratch.data(),
            OrtThreads(api_, context));
}

template <class Element>
void SparseConvKernel<Element>::Compute(OrtKernelContext* context) {
  NameErrors(where_, [&] { Run(context); });
}

template class SparseConvKernel<float>;
template class SparseConvKernel<uint8_t>;

}  // namespace alcs::ort
