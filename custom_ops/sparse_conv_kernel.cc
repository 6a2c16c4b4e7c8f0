#include "sparse_conv_kernel.h"

#include <algorithm>
#include <utility>

#include "alcs/cpu.h"
#include "alcs/thread.h"
#include "tensor_view.h"

namespace alcs::ort {
namespace {

// Inputs of the op, in order.
enum Input : std::size_t { kX, kValues, kPositions, kBias, kResidual };

// Enough for a few image sizes in turn; a plan is small, but not free.
constexpr std::size_t kPlansKept = 8;

// ORT's intra-op threads, as the engine sees them. ORT's own dynamic scheduling (no batching)
// keeps threads busy when the engine's pieces are uneven.
class OrtThreads final : public ParallelFor {
 public:
  OrtThreads(const OrtApi& api, const OrtKernelContext* context) : api_(api), context_(context) {}

  void Run(std::size_t count, void (*body)(void*, std::size_t), void* context) const override {
    if (count > 1 &&
        Succeeded(api_, api_.KernelContext_ParallelFor(context_, body, count, 0, context))) {
      return;
    }
    // One piece, or ORT refused before it ran any.
    SerialFor().Run(count, body, context);
  }

 private:
  const OrtApi& api_;
  const OrtKernelContext* context_;
};

// Memory of the session's own allocator for the length of one Run.
class Scratch {
 public:
  Scratch(const OrtApi& api, const OrtKernelContext* context, const OrtMemoryInfo* memory,
          std::size_t bytes)
      : allocator_(api.ReleaseAllocator) {
    if (bytes == 0) return;
    Check(api, api.KernelContext_GetAllocator(context, memory, allocator_.out()));
    data_ = allocator_.get()->Alloc(allocator_.get(), bytes);
    if (data_ == nullptr) throw std::bad_alloc();
  }
  ~Scratch() {
    if (data_ != nullptr) allocator_.get()->Free(allocator_.get(), data_);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  void* data() const { return data_; }

 private:
  Owned<OrtAllocator> allocator_;
  void* data_ = nullptr;
};

TensorView InputView(const OrtApi& api, const OrtKernelContext* context, Input index) {
  const OrtValue* value = nullptr;
  Check(api, api.KernelContext_GetInput(context, index, &value));
  if (value == nullptr) throw Error("input " + std::to_string(index) + " is absent");
  return ViewOf(api, value);
}

TensorView ConstantView(const OrtApi& api, const OrtKernelInfo* info, Input index,
                        const char* name) {
  int is_constant = 0;
  const OrtValue* value = nullptr;
  Check(api, api.KernelInfoGetConstantInput_tensor(info, index, &is_constant, &value));
  if (is_constant == 0 || value == nullptr) {
    throw Error(std::string("input '") + name +
                "' has to be a constant initializer: weights are packed when the session is "
                "created");
  }
  return ViewOf(api, value);
}

// What a person needs to find the node in the graph.
std::string Describe(const OrtApi& api, const OrtKernelInfo* info, bool residual) {
  std::size_t size = 0;  // with the terminating zero
  Check(api, api.KernelInfo_GetNodeName(info, nullptr, &size));
  std::vector<char> name(size + 1);
  Check(api, api.KernelInfo_GetNodeName(info, name.data(), &size));
  return std::string("ai.alcs::") + (residual ? "SimdSparseConvAdd" : "SimdSparseConv") +
         " node '" + name.data() + "': ";
}

}  // namespace

SparseConvKernel::SparseConvKernel(const OrtApi& api, const OrtKernelInfo* info, bool residual)
    : api_(api),
      residual_(residual),
      where_(Describe(api, info, residual)),
      memory_(api.ReleaseMemoryInfo) {
  try {
    attributes_ = ReadNodeAttributes(KernelAttributes(api, info));
    CreateConv(info);
    PlanStaticShape(info);
    Check(api_, api_.CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, memory_.out()));
  } catch (const Error& error) {
    throw Error(where_ + error.what(), error.code());
  }
}

void SparseConvKernel::CreateConv(const OrtKernelInfo* info) {
  const TensorView values = ConstantView(api_, info, kValues, "values");
  const TensorView positions = ConstantView(api_, info, kPositions, "positions");
  const TensorView bias = ConstantView(api_, info, kBias, "bias");
  CheckRank(values, 2, "values");
  CheckRank(positions, 1, "positions");
  CheckRank(bias, 1, "bias");
  if (values.shape[1] != attributes_.spec.simd_group) {
    throw Error(
        "input 'values' has the shape " + Text(values.shape) +
        ", whose second axis is not simd_group = " + std::to_string(attributes_.spec.simd_group));
  }

  SparseWeightsView weights;
  weights.values = static_cast<const float*>(values.data);
  weights.value_count = values.shape[0] * values.shape[1];
  weights.positions = static_cast<const int32_t*>(positions.data);
  weights.nnz = positions.shape[0];
  weights.bias = static_cast<const float*>(bias.data);
  weights.bias_count = bias.shape[0];

  Isa isa;
  Status status = SelectIsa(&isa);
  if (status.ok()) status = Conv::Create(attributes_.spec, weights, isa, &conv_);
  if (!status.ok()) throw Error(status.message());
}

// The usual case: every size is known from the graph, and Run has nothing left to decide.
void SparseConvKernel::PlanStaticShape(const OrtKernelInfo* info) {
  Owned<OrtTypeInfo> type(api_.ReleaseTypeInfo);
  Check(api_, api_.KernelInfo_GetInputTypeInfo(info, kX, type.out()));
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

SparseConvKernel::PlanPointer SparseConvKernel::PlanFor(const Shape& input) {
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
  if (recent_plans_.size() == kPlansKept) recent_plans_.pop_back();
  recent_plans_.insert(recent_plans_.begin(), {input, plan});
  return plan;
}

Shape SparseConvKernel::OutputShape(const ConvPlan& plan) const {
  Shape shape = {plan.batch, attributes_.spec.out_channels};
  if (attributes_.spatial_rank == 2) shape.push_back(plan.out_height);
  shape.push_back(plan.out_width);
  return shape;
}

void SparseConvKernel::Run(OrtKernelContext* context) {
  const TensorView x = InputView(api_, context, kX);
  const PlanPointer plan = PlanFor(x.shape);
  const Shape shape = OutputShape(*plan);

  const float* residual = nullptr;
  if (residual_) {
    const TensorView view = InputView(api_, context, kResidual);
    if (view.shape != shape) {
      throw Error("input 'residual' has the shape " + Text(view.shape) + " and the output " +
                  Text(shape));
    }
    residual = static_cast<const float*>(view.data);
  }

  OrtValue* output = nullptr;
  Check(api_, api_.KernelContext_GetOutput(context, 0, shape.data(), shape.size(), &output));
  void* y = nullptr;
  Check(api_, api_.GetTensorMutableData(output, &y));

  const Scratch scratch(api_, context, memory_.get(), plan->scratch_bytes);
  conv_->Run(*plan, static_cast<const float*>(x.data), residual, static_cast<float*>(y),
             scratch.data(), OrtThreads(api_, context));
}

void SparseConvKernel::Compute(OrtKernelContext* context) {
  try {
    Run(context);
  } catch (const Error& error) {
    throw Error(where_ + error.what(), error.code());
  }
}

}  // namespace alcs::ort
