#include "common_callbacks.h"

#include <limits>

namespace alcs::ort {
namespace {

std::size_t ORT_API_CALL OneOutput(const OrtCustomOp*) { return 1; }

ONNXTensorElementDataType ORT_API_CALL Float(const OrtCustomOp*, std::size_t) {
  return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
}

OrtCustomOpInputOutputCharacteristic ORT_API_CALL Required(const OrtCustomOp*, std::size_t) {
  return INPUT_OUTPUT_REQUIRED;
}

OrtMemType ORT_API_CALL DefaultMemory(const OrtCustomOp*, std::size_t) { return OrtMemTypeDefault; }

const char* ORT_API_CALL CpuProvider(const OrtCustomOp*) { return nullptr; }

int ORT_API_CALL FirstVersion(const OrtCustomOp*) { return 1; }

int ORT_API_CALL LastVersion(const OrtCustomOp*) { return std::numeric_limits<int>::max(); }

}  // namespace

void SetCommonCallbacks(CustomOp18* op) {
  op->version = kApiVersion;
  op->GetExecutionProviderType = CpuProvider;
  op->GetInputCharacteristic = Required;
  op->GetInputMemoryType = DefaultMemory;
  op->GetInputType = Float;
  op->GetOutputType = Float;
  op->GetOutputTypeCount = OneOutput;
  op->GetOutputCharacteristic = Required;
  op->GetStartVersion = FirstVersion;
  op->GetEndVersion = LastVersion;
  // Kernels have only the second forms of their callbacks, which report failures: ORT uses them
  // when the first are null.
}

}  // namespace alcs::ort
