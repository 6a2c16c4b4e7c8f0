#include "channel_words_op.h"

#include <functional>
#include <numeric>
#include <string>

#include "alcs/channel_words.h"
#include "common_callbacks.h"
#include "kernel_context.h"
#include "node_attributes.h"
#include "shape_inference.h"

namespace alcs::ort {
namespace {

using Direction = ChannelWordsOp::Direction;

const char* NameOf(Direction direction) {
  return direction == Direction::kPack ? "PackNC4HW4" : "UnpackNC4HW4";
}

int64_t ReadChannels(const AttributeSource& source) {
  const int64_t channels = source.Int("channels");
  if (channels > 0) return channels;
  throw Error("attribute 'channels' is " + std::to_string(channels) + ", expected 1 or more");
}

// One node of one session. Compute may be called concurrently.
class ChannelWordsKernel {
 public:
  ChannelWordsKernel(const OrtApi& api, const OrtKernelInfo* info, Direction direction)
      : api_(api), direction_(direction), where_(DescribeNode(api, info, NameOf(direction))) {
    NameErrors(where_, [&] { channels_ = ReadChannels(KernelAttributes(api, info)); });
  }

  void Compute(OrtKernelContext* context) const {
    NameErrors(where_, [&] { Run(context); });
  }

  const OrtApi& api() const { return api_; }

 private:
  void Run(OrtKernelContext* context) const {
    const TensorView x = InputView(api_, context, 0);
    const bool pack = direction_ == Direction::kPack;
    const int64_t axis = pack ? channels_ : WordsOf(channels_);
    Shape shape = x.shape;
    if (shape.size() < (pack ? 2 : 3) || shape[1] != axis ||
        (!pack && shape.back() != kWordChannels)) {
      throw Error("input 'X' has the shape " + Text(x.shape) + " where [N, " +
                  std::to_string(axis) + (pack ? ", ...]" : ", ..., 4]") + " is needed");
    }
    if (pack) {
      shape[1] = WordsOf(channels_);
      shape.push_back(kWordChannels);
    } else {
      shape[1] = channels_;
      shape.pop_back();
    }
    const Shape& planes = pack ? x.shape : shape;
    const int64_t pixels =
        std::accumulate(planes.begin() + 2, planes.end(), int64_t{1}, std::multiplies<>());
    auto* y = static_cast<uint8_t*>(Output(api_, context, shape));
    (pack ? PackChannels : UnpackChannels)(shape[0], channels_, pixels,
                                           static_cast<const uint8_t*>(x.data), y,
                                           OrtThreads(api_, context));
  }

  const OrtApi& api_;
  const Direction direction_;
  const std::string where_;
  int64_t channels_ = 0;
};

const ChannelWordsOp& Self(const OrtCustomOp* op) {
  return static_cast<const ChannelWordsOp&>(*op);
}

const char* ORT_API_CALL Name(const OrtCustomOp* op) { return NameOf(Self(op).direction()); }

std::size_t ORT_API_CALL InputCount(const OrtCustomOp*) { return 1; }

ONNXTensorElementDataType ORT_API_CALL Bytes(const OrtCustomOp*, std::size_t) {
  return ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8;
}

OrtStatus* ORT_API_CALL Create(const OrtCustomOp* op, const OrtApi* api, const OrtKernelInfo* info,
                               void** kernel) {
  *kernel = nullptr;
  return Guard(*api, [&] { *kernel = new ChannelWordsKernel(*api, info, Self(op).direction()); });
}

void Infer(const ChannelWordsOp& op, OrtShapeInferContext* context) {
  const int64_t channels = ReadChannels(ShapeInferenceAttributes(op.api(), context));
  Dimensions sizes = InputDimensions(op.api(), context);
  const bool pack = op.direction() == Direction::kPack;
  if (sizes.size() < (pack ? 2 : 3)) return;
  sizes[1] = {pack ? WordsOf(channels) : channels, ""};
  if (pack) {
    sizes.push_back({kWordChannels, ""});
  } else {
    sizes.pop_back();
  }
  SetOutput(op.api(), context, sizes, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8);
}

// ORT ignores the status of this callback and never frees it; see shape_inference.h.
OrtStatus* ORT_API_CALL InferOutputShape(const OrtCustomOp* op, OrtShapeInferContext* context) {
  const OrtApi& api = Self(op).api();
  OrtStatus* status = Guard(api, [&] { Infer(Self(op), context); });
  if (status != nullptr) api.ReleaseStatus(status);
  return nullptr;
}

}  // namespace

ChannelWordsOp::ChannelWordsOp(const OrtApi& api, Direction direction)
    : CustomOp18{}, api_(api), direction_(direction) {
  SetCommonCallbacks(this);
  SetKernelCallbacks<ChannelWordsKernel>(this);
  GetName = Name;
  GetInputType = Bytes;
  GetOutputType = Bytes;
  GetInputTypeCount = InputCount;
  CreateKernelV2 = Create;
  InferOutputShapeFn = InferOutputShape;
}

}  // namespace alcs::ort
