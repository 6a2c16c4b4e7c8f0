// The part of ONNX Runtime's C API that the adapter uses, and what it adds to it.
//
// The adapter asks the runtime for API 18 (ONNX Runtime 1.18), whatever header it is built with:
// newer runtimes serve it, older ones are refused with a clear status.
#ifndef ALCS_CUSTOM_OPS_ORT_API_H_
#define ALCS_CUSTOM_OPS_ORT_API_H_

#include <onnxruntime_c_api.h>

#include <cstddef>
#include <cstdint>
#include <new>
#include <stdexcept>
#include <string>

namespace alcs::ort {

inline constexpr uint32_t kApiVersion = 18;
inline constexpr const char* kMinimumRuntime = "1.18";

// OrtCustomOp as API 18 has it. A runtime that reads `version == 18` also reads the last four
// callbacks, which the header of API 17 lacks: with such a header they are declared here.
#if ORT_API_VERSION < 18
struct CustomOp18 : OrtCustomOp {
  std::size_t(ORT_API_CALL* GetMayInplace)(int** input_index, int** output_index);
  void(ORT_API_CALL* ReleaseMayInplace)(int* input_index, int* output_index);
  std::size_t(ORT_API_CALL* GetAliasMap)(int** input_index, int** output_index);
  void(ORT_API_CALL* ReleaseAliasMap)(int* input_index, int* output_index);
};
static_assert(sizeof(CustomOp18) == sizeof(OrtCustomOp) + 4 * sizeof(void*),
              "the callbacks of API 18 lie directly behind those of API 17");
#else
using CustomOp18 = OrtCustomOp;
#endif

// A failure on its way to becoming a status. It never leaves the library: see Guard.
class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& what, OrtErrorCode code = ORT_INVALID_ARGUMENT)
      : std::runtime_error(what), code_(code) {}
  OrtErrorCode code() const { return code_; }

 private:
  OrtErrorCode code_;
};

// Throws the failure that `status` describes, if it describes one, and releases it.
inline void Check(const OrtApi& api, OrtStatus* status) {
  if (status == nullptr) return;
  const Error error(api.GetErrorMessage(status), api.GetErrorCode(status));
  api.ReleaseStatus(status);
  throw error;
}

// Whether `status` is success; releases it.
inline bool Succeeded(const OrtApi& api, OrtStatus* status) {
  if (status == nullptr) return true;
  api.ReleaseStatus(status);
  return false;
}

// Runs `body`; its failures get `where` before their text.
template <typename Body>
void NameErrors(const std::string& where, const Body& body) {
  try {
    body();
  } catch (const Error& error) {
    throw Error(where + error.what(), error.code());
  }
}

// Runs `body` and turns whatever it throws into a status: no exception crosses the C interface.
template <typename Body>
OrtStatus* Guard(const OrtApi& api, const Body& body) noexcept {
  try {
    body();
    return nullptr;
  } catch (const Error& error) {
    return api.CreateStatus(error.code(), error.what());
  } catch (const std::bad_alloc&) {
    return api.CreateStatus(ORT_RUNTIME_EXCEPTION, "ai.alcs: out of memory");
  } catch (const std::exception& error) {
    return api.CreateStatus(ORT_FAIL, error.what());
  } catch (...) {
    return api.CreateStatus(ORT_FAIL, "ai.alcs: unknown failure");
  }
}

// Owns an object that ONNX Runtime releases through a member of OrtApi.
template <typename T>
class Owned {
 public:
  using Release = void(ORT_API_CALL*)(T*);
  explicit Owned(Release release) : release_(release) {}
  ~Owned() {
    if (object_ != nullptr) release_(object_);
  }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;

  T* get() const { return object_; }
  T** out() { return &object_; }  // for the call that creates the object

 private:
  Release release_;
  T* object_ = nullptr;
};

}  // namespace alcs::ort

#endif  // ALCS_CUSTOM_OPS_ORT_API_H_
