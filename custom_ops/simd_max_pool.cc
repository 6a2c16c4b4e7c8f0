#include "simd_max_pool.h"

#include <string>

#include "alcs/channel_words.h"
#include "alcs/max_pool.h"
#include "common_callbacks.h"
#include "kernel_context.h"
#include "node_attributes.h"
#include "shape_inference.h"

namespace alcs::ort {
namespace {

const char* NameOf(Layout layout) {
  return layout == Layout::kPlanes ? "SimdMaxPool" : "MaxPoolNC4HW4";
}

// One node of one session. Compute may be called concurrently.
class MaxPoolKernel {
 public:
  MaxPoolKernel(const OrtApi& api, const OrtKernelInfo* info, Layout layout)
      : api_(api), layout_(layout), where_(DescribeNode(api, info, NameOf(layout))) {
    NameErrors(where_, [&] {
      const NodeAttributes node = ReadPoolAttributes(KernelAttributes(api, info));
      Isa isa = Isa::kReference;
      Status status = SelectIsa(&isa);
      if (status.ok()) status = MaxPool::Create(node.spec, isa, &pool_);
      if (!status.ok()) throw Error(status.message());
      if (Verbose()) Tell(api, info, where_ + (planes() ? pool_.kernel_name() : "words"));
    });
  }

  void Compute(OrtKernelContext* context) const {
    NameErrors(where_, [&] { Run(context); });
  }

  const OrtApi& api() const { return api_; }

 private:
  bool planes() const { return layout_ == Layout::kPlanes; }

  void Run(OrtKernelContext* context) const {
    const TensorView x = InputView(api_, context, 0);
    CheckRank(x, planes() ? 4 : 5, "X");
    if (!planes() && x.shape.back() != kWordChannels) {
      throw Error("input 'X' has the shape " + Text(x.shape) +
                  " where [N, C / 4, H, W, 4] is needed");
    }
    Shape shape = x.shape;
    const Status status = pool_.OutputSize(x.shape[2], x.shape[3], &shape[2], &shape[3]);
    if (!status.ok()) throw Error(status.message());
    void* y = Output(api_, context, shape);
    const OrtThreads threads(api_, context);
    const int64_t images = shape[0] * shape[1];
    if (planes()) {
      pool_.Run(images, x.shape[2], x.shape[3], static_cast<const float*>(x.data),
                static_cast<float*>(y), threads);
    } else {
      pool_.RunWords(images, x.shape[2], x.shape[3], static_cast<const uint8_t*>(x.data),
                     static_cast<uint8_t*>(y), threads);
    }
  }

  const OrtApi& api_;
  const Layout layout_;
  const std::string where_;
  MaxPool pool_;
};

const MaxPoolOp& Self(const OrtCustomOp* op) { return static_cast<const MaxPoolOp&>(*op); }

const char* ORT_API_CALL Name(const OrtCustomOp* op) { return NameOf(Self(op).layout()); }

ONNXTensorElementDataType ORT_API_CALL Bytes(const OrtCustomOp*, std::size_t) {
  return ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8;
}

std::size_t ORT_API_CALL InputCount(const OrtCustomOp*) { return 1; }

OrtStatus* ORT_API_CALL Create(const OrtCustomOp* op, const OrtApi* api, const OrtKernelInfo* info,
                               void** kernel) {
  *kernel = nullptr;
  return Guard(*api, [&] { *kernel = new MaxPoolKernel(*api, info, Self(op).layout()); });
}

template <Layout kLayout>
OrtStatus* ORT_API_CALL InferOutputShape(const OrtCustomOp* op, OrtShapeInferContext* context) {
  InferShape(Self(op).api(), context, [](const AttributeSource& source) {
    return ShapeRule{ReadPoolAttributes(source), -1, kLayout};
  });
  return nullptr;
}

}  // namespace

MaxPoolOp::MaxPoolOp(const OrtApi& api, Layout layout) : CustomOp18{}, api_(api), layout_(layout) {
  SetCommonCallbacks(this);
  SetKernelCallbacks<MaxPoolKernel>(this);
  GetName = Name;
  GetInputTypeCount = InputCount;
  CreateKernelV2 = Create;
  InferOutputShapeFn = InferOutputShape<Layout::kPlanes>;
  if (layout == Layout::kWords) {
    GetInputType = Bytes;
    GetOutputType = Bytes;
    InferOutputShapeFn = InferOutputShape<Layout::kWords>;
  }
}

}  // namespace alcs::ort
