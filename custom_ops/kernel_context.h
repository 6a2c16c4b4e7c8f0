// What ONNX Runtime lends a kernel while it is created and while it computes.
#ifndef ALCS_CUSTOM_OPS_KERNEL_CONTEXT_H_
#define ALCS_CUSTOM_OPS_KERNEL_CONTEXT_H_

#include <cstddef>
#include <string>

#include "alcs/thread.h"
#include "ort_api.h"
#include "tensor_view.h"

namespace alcs::ort {

// ORT's intra-op threads, as the engine sees them. ORT's own dynamic scheduling (no batching)
// keeps threads busy when the engine's pieces are uneven.
class OrtThreads final : public ParallelFor {
 public:
  OrtThreads(const OrtApi& api, const OrtKernelContext* context) : api_(api), context_(context) {}

  void Run(std::size_t count, void (*body)(void*, std::size_t), void* context) const override;

 private:
  const OrtApi& api_;
  const OrtKernelContext* context_;
};

// Memory of the session's own allocator for the length of one Run.
class Scratch {
 public:
  Scratch(const OrtApi& api, const OrtKernelContext* context, const OrtMemoryInfo* memory,
          std::size_t bytes);
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  void* data() const { return data_; }

 private:
  Owned<OrtAllocator> allocator_;
  void* data_ = nullptr;
};

// Throws an Error if the input is absent.
TensorView InputView(const OrtApi& api, const OrtKernelContext* context, std::size_t index);

// The memory of output 0, in that shape.
void* Output(const OrtApi& api, OrtKernelContext* context, const Shape& shape);

// "ai.alcs::<op> node '<name>': ", what a person needs to find the node in the graph.
std::string DescribeNode(const OrtApi& api, const OrtKernelInfo* info, const char* op);

// Whether the environment variable ALCS_VERBOSE asks for a line per node on how it is computed.
bool Verbose();

// Gives a line to the session's own log. As a warning, since that is what sessions show unless
// told otherwise; only for what somebody has asked for.
void Tell(const OrtApi& api, const OrtKernelInfo* info, const std::string& line);
void Tell(const OrtApi& api, const OrtKernelContext* context, const std::string& line);

}  // namespace alcs::ort

#endif  // ALCS_CUSTOM_OPS_KERNEL_CONTEXT_H_
