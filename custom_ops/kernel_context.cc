#include "kernel_context.h"

#include <cstdlib>
#include <vector>

namespace alcs::ort {

void OrtThreads::Run(std::size_t count, void (*body)(void*, std::size_t), void* context) const {
  if (count > 1 &&
      Succeeded(api_, api_.KernelContext_ParallelFor(context_, body, count, 0, context))) {
    return;
  }
  // One piece, or ORT refused before it ran any.
  SerialFor().Run(count, body, context);
}

Scratch::Scratch(const OrtApi& api, const OrtKernelContext* context, const OrtMemoryInfo* memory,
                 std::size_t bytes)
    : allocator_(api.ReleaseAllocator) {
  if (bytes == 0) return;
  Check(api, api.KernelContext_GetAllocator(context, memory, allocator_.out()));
  data_ = allocator_.get()->Alloc(allocator_.get(), bytes);
  if (data_ == nullptr) throw std::bad_alloc();
}

Scratch::~Scratch() {
  if (data_ != nullptr) allocator_.get()->Free(allocator_.get(), data_);
}

TensorView InputView(const OrtApi& api, const OrtKernelContext* context, std::size_t index) {
  const OrtValue* value = nullptr;
  Check(api, api.KernelContext_GetInput(context, index, &value));
  if (value == nullptr) throw Error("input " + std::to_string(index) + " is absent");
  return ViewOf(api, value);
}

void* Output(const OrtApi& api, OrtKernelContext* context, const Shape& shape) {
  OrtValue* output = nullptr;
  Check(api, api.KernelContext_GetOutput(context, 0, shape.data(), shape.size(), &output));
  void* data = nullptr;
  Check(api, api.GetTensorMutableData(output, &data));
  return data;
}

std::string DescribeNode(const OrtApi& api, const OrtKernelInfo* info, const char* op) {
  std::size_t size = 0;  // with the terminating zero
  Check(api, api.KernelInfo_GetNodeName(info, nullptr, &size));
  std::vector<char> name(size + 1);
  Check(api, api.KernelInfo_GetNodeName(info, name.data(), &size));
  return std::string("ai.alcs::") + op + " node '" + name.data() + "': ";
}

bool Verbose() {
  const char* value = std::getenv("ALCS_VERBOSE");
  return value != nullptr && *value != '\0' && std::string(value) != "0";
}

namespace {

void Log(const OrtApi& api, const OrtLogger* logger, const std::string& line) {
  if (logger == nullptr) return;
  // A line that cannot be logged is no reason to fail.
  (void)Succeeded(api, api.Logger_LogMessage(logger, ORT_LOGGING_LEVEL_WARNING, line.c_str(),
                                             ORT_TSTR("alcs"), 0, "ALCS_VERBOSE"));
}

}  // namespace

void Tell(const OrtApi& api, const OrtKernelInfo* info, const std::string& line) {
  const OrtLogger* logger = nullptr;
  if (Succeeded(api, api.KernelInfo_GetLogger(info, &logger))) Log(api, logger, line);
}

void Tell(const OrtApi& api, const OrtKernelContext* context, const std::string& line) {
  const OrtLogger* logger = nullptr;
  if (Succeeded(api, api.KernelContext_GetLogger(context, &logger))) Log(api, logger, line);
}

}  // namespace alcs::ort
