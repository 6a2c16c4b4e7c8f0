// The library in a runtime that has no API 18, and in one whose calls fail: a status, no crash.
//
// Usage: old_runtime_test LIBRARY
// The runtimes are made up here: they serve only what RegisterCustomOps may use of them.

#include <dlfcn.h>
#include <onnxruntime_c_api.h>

#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

struct OrtStatus {
  OrtErrorCode code;
  std::string message;
};

namespace {

int failures = 0;

void Expect(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "FAILED: %s\n", what);
  ++failures;
}

OrtStatus* ORT_API_CALL CreateStatus(OrtErrorCode code, const char* message) noexcept {
  return new OrtStatus{code, message};
}
const char* ORT_API_CALL Message(const OrtStatus* status) noexcept {
  return status->message.c_str();
}
OrtErrorCode ORT_API_CALL Code(const OrtStatus* status) noexcept { return status->code; }
void ORT_API_CALL Release(OrtStatus* status) noexcept { delete status; }
OrtStatus* ORT_API_CALL NoDomain(const char*, OrtCustomOpDomain**) noexcept {
  return CreateStatus(ORT_FAIL, "no domain today");
}
void ORT_API_CALL ReleaseDomain(OrtCustomOpDomain*) noexcept {}

const char* ORT_API_CALL Version() noexcept { return "1.11.0"; }

OrtApi api{};
std::vector<uint32_t> asked;

const OrtApi* ORT_API_CALL OldGetApi(uint32_t version) noexcept {
  asked.push_back(version);
  return version < 18 ? &api : nullptr;
}
const OrtApi* ORT_API_CALL NewGetApi(uint32_t) noexcept { return &api; }

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  void* library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    std::fprintf(stderr, "%s\n", dlerror());
    return 1;
  }
  const auto register_custom_ops =
      reinterpret_cast<OrtStatus* (*)(OrtSessionOptions*, const OrtApiBase*)>(
          dlsym(library, "RegisterCustomOps"));
  Expect(register_custom_ops != nullptr, "RegisterCustomOps is exported");
  if (register_custom_ops == nullptr) return 1;

  api.CreateStatus = CreateStatus;
  const OrtApiBase old_runtime = {OldGetApi, Version};
  OrtStatus* status = register_custom_ops(nullptr, &old_runtime);
  Expect(status != nullptr, "an old runtime is refused");
  if (status != nullptr) {
    Expect(status->message.find("1.18") != std::string::npos, "the version needed is told");
    Expect(status->message.find("1.11.0") != std::string::npos, "the version found is told");
    Release(status);
  }
  Expect(asked.size() == 2 && asked[0] == 18, "API 18 is what is asked for first");

  api.GetErrorMessage = Message;
  api.GetErrorCode = Code;
  api.ReleaseStatus = Release;
  api.CreateCustomOpDomain = NoDomain;
  api.ReleaseCustomOpDomain = ReleaseDomain;
  const OrtApiBase failing_runtime = {NewGetApi, Version};
  for (int i = 0; i < 2; ++i) {
    status = register_custom_ops(nullptr, &failing_runtime);
    Expect(status != nullptr && status->message == "no domain today", "a failure is passed on");
    if (status != nullptr) Release(status);
  }
  dlclose(library);
  if (failures == 0) std::puts("old_runtime_test: passed");
  return failures == 0 ? 0 : 1;
}
