#include "simd_sparse_conv.h"

#include <limits>
#include <string>
#include <vector>

#include "node_attributes.h"
#include "sparse_conv_kernel.h"

namespace alcs::ort {
namespace {

const SparseConvOp& Self(const OrtCustomOp* op) { return static_cast<const SparseConvOp&>(*op); }

const char* ORT_API_CALL Name(const OrtCustomOp* op) {
  return Self(op).residual() ? "SimdSparseConvAdd" : "SimdSparseConv";
}

std::size_t ORT_API_CALL InputCount(const OrtCustomOp* op) { return Self(op).residual() ? 5 : 4; }

std::size_t ORT_API_CALL OutputCount(const OrtCustomOp*) { return 1; }

ONNXTensorElementDataType ORT_API_CALL InputType(const OrtCustomOp*, std::size_t index) {
  constexpr std::size_t kPositions = 2;
  return index == kPositions ? ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32
                             : ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
}

ONNXTensorElementDataType ORT_API_CALL OutputType(const OrtCustomOp*, std::size_t) {
  return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
}

OrtCustomOpInputOutputCharacteristic ORT_API_CALL Required(const OrtCustomOp*, std::size_t) {
  return INPUT_OUTPUT_REQUIRED;
}

OrtMemType ORT_API_CALL DefaultMemory(const OrtCustomOp*, std::size_t) { return OrtMemTypeDefault; }

const char* ORT_API_CALL CpuProvider(const OrtCustomOp*) { return nullptr; }

int ORT_API_CALL FirstVersion(const OrtCustomOp*) { return 1; }

int ORT_API_CALL LastVersion(const OrtCustomOp*) { return std::numeric_limits<int>::max(); }

OrtStatus* ORT_API_CALL Create(const OrtCustomOp* op, const OrtApi* api, const OrtKernelInfo* info,
                               void** kernel) {
  *kernel = nullptr;
  return Guard(*api, [&] { *kernel = new SparseConvKernel(*api, info, Self(op).residual()); });
}

OrtStatus* ORT_API_CALL Compute(void* kernel, OrtKernelContext* context) {
  auto& self = *static_cast<SparseConvKernel*>(kernel);
  return Guard(self.api(), [&] { self.Compute(context); });
}

void ORT_API_CALL Destroy(void* kernel) { delete static_cast<SparseConvKernel*>(kernel); }

// The residual's memory may become the output's when nothing else needs it any more. ORT hands the
// arrays back to the second function; they are not its to free.
int residual_input[] = {4};
int only_output[] = {0};

std::size_t ORT_API_CALL MayInplace(int** input, int** output) {
  *input = residual_input;
  *output = only_output;
  return 1;
}

void ORT_API_CALL KeepInplace(int*, int*) {}

// The output's size along one axis: a number, or a name when the input's is only a name. Equal
// names promise ORT equal sizes, so a name that changes tells how it came about.
struct Dimension {
  int64_t size = -1;
  std::string name;

  bool known() const { return size >= 0 || !name.empty(); }
};

Dimension OutputDimension(const ConvSpec& spec, std::size_t axis, const Dimension& in) {
  if (in.size > std::numeric_limits<int32_t>::max()) return {};  // the engine will refuse it
  if (in.size >= 0) return {OutputSize(spec, axis, in.size), ""};
  if (in.name.empty()) return {};
  const int64_t pads = spec.pads[axis] + spec.pads[2 + axis];
  const int64_t shrink = spec.dilations[axis] * (spec.kernel[axis] - 1) - pads;
  if (spec.strides[axis] == 1 && shrink == 0) return in;
  return {-1, "((" + in.name + "-" + std::to_string(shrink + 1) + ")/" +
                  std::to_string(spec.strides[axis]) + "+1)"};
}

void InferShape(const OrtApi& api, OrtShapeInferContext* context) {
  const NodeAttributes node = ReadNodeAttributes(ShapeInferenceAttributes(api, context));
  // ORT keeps what it hands out here.
  OrtTensorTypeAndShapeInfo* input = nullptr;
  Check(api, api.ShapeInferContext_GetInputTypeShape(context, 0, &input));
  std::size_t rank = 0;
  Check(api, api.GetDimensionsCount(input, &rank));
  if (rank != node.rank()) return;
  std::vector<int64_t> sizes(rank);
  std::vector<const char*> names(rank, "");
  Check(api, api.GetDimensions(input, sizes.data(), rank));
  Check(api, api.GetSymbolicDimensions(input, names.data(), rank));

  std::vector<Dimension> output(rank);
  output[0] = {sizes[0], names[0]};
  output[1] = {node.spec.out_channels, ""};
  for (std::size_t i = 0; i < node.spatial_rank; ++i) {
    output[2 + i] = OutputDimension(node.spec, node.spec_axis(i), {sizes[2 + i], names[2 + i]});
  }
  for (std::size_t i = 0; i < rank; ++i) {
    if (!output[i].known()) return;  // ORT has no way to be told of a nameless unknown size
    sizes[i] = output[i].size;
    names[i] = output[i].name.c_str();
  }
  Owned<OrtTensorTypeAndShapeInfo> shape(api.ReleaseTensorTypeAndShapeInfo);
  Check(api, api.CreateTensorTypeAndShapeInfo(shape.out()));
  Check(api, api.SetTensorElementType(shape.get(), ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT));
  Check(api, api.SetDimensions(shape.get(), sizes.data(), rank));
  Check(api, api.SetSymbolicDimensions(shape.get(), names.data(), rank));
  Check(api, api.ShapeInferContext_SetOutputTypeShape(context, 0, shape.get()));
}

// ORT ignores the status of this callback and never frees it. A node that is wrong therefore
// just gets no shape here; creating its kernel then fails with the reason and the node's name.
OrtStatus* ORT_API_CALL InferOutputShape(const OrtCustomOp* op, OrtShapeInferContext* context) {
  const OrtApi& api = Self(op).api();
  OrtStatus* status = Guard(api, [&] { InferShape(api, context); });
  if (status != nullptr) api.ReleaseStatus(status);
  return nullptr;
}

}  // namespace

SparseConvOp::SparseConvOp(const OrtApi& api, bool residual)
    : CustomOp18{}, api_(api), residual_(residual) {
  version = kApiVersion;
  GetName = Name;
  GetExecutionProviderType = CpuProvider;
  GetInputType = InputType;
  GetInputTypeCount = InputCount;
  GetInputCharacteristic = Required;
  GetInputMemoryType = DefaultMemory;
  GetOutputType = OutputType;
  GetOutputTypeCount = OutputCount;
  GetOutputCharacteristic = Required;
  GetStartVersion = FirstVersion;
  GetEndVersion = LastVersion;
  // The second forms, which report failures; ORT uses them when the first are null.
  CreateKernelV2 = Create;
  KernelComputeV2 = Compute;
  KernelDestroy = Destroy;
  InferOutputShapeFn = InferOutputShape;
  if (residual) {
    GetMayInplace = MayInplace;
    ReleaseMayInplace = KeepInplace;
  }
}

}  // namespace alcs::ort
