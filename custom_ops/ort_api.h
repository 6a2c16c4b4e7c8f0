// The part of ONNX Runtime's C API that the adapter uses, and what it adds to it.
//
// The adapter asks the runtime for API 18 (ONNX Runtime 1.18), whatever header it is built with:
// newer runtimes serve it, older ones are refused with a clear status.
#pragma once

#include <onnxruntime_c_api.h>

#include <memory>
#include <stdexcept>
#include <string>

namespace alcs::ort {

inline constexpr uint32_t kApiVersion = 18;
inline constexpr const char* kMinimumRuntime = "1.18";

// OrtCustomOp as API 18 has it. The header of API 17 lacks the last four callbacks, so they are
// declared here when it does: a runtime that reads `version == 18` finds them behind the others.
struct CustomOp18 {
  OrtCustomOp base;
#if ORT_API_VERSION < 18
  size_t(ORT_API_CALL* GetMayInplace)(int** input_index, int** output_index);
  void(ORT_API_CALL* ReleaseMayInplace)(int* input_index, int* output_index);
  size_t(ORT_API_CALL* GetAliasMap)(int** input_index, int** output_index);
  void(ORT_API_CALL* ReleaseAliasMap)(int* input_index, int* output_index);
  CustomOp18& in_place() { return *this; }
#else
  OrtCustomOp& in_place() { return base; }
#endif
};

// A failure on its way to becoming a status. It never leaves the library: see Guard.
class Error : public std::runtime_error {
 public:
  Error(OrtErrorCode code, const std::string& what) : std::runtime_error(what), code_(code) {}
  OrtErrorCode code() const { return code_; }

 private:
  OrtErrorCode code_;
};

// Throws the failure that `status` describes, if it describes one, and releases it.
inline void Check(const OrtApi& api, OrtStatus* status) {
  if (status == nullptr) return;
  Error error(api.GetErrorCode(status), api.GetErrorMessage(status));
  api.ReleaseStatus(status);
  throw error;
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
  Owned(Release release, T* object = nullptr) : release_(release), object_(object) {}
  ~Owned() {
    if (object_ != nullptr) release_(object_);
  }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;

  T* get() const { return object_; }
  T** out() { return &object_; }

 private:
  Release release_;
  T* object_;
};

}  // namespace alcs::ort
