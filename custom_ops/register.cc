// What ONNX Runtime calls when a session registers the library.

#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "channel_words_op.h"
#include "ort_api.h"
#include "simd_max_pool.h"
#include "simd_sparse_conv.h"

namespace alcs::ort {
namespace {

constexpr const char* kDomain = "ai.alcs";

// The operators as one runtime sees them. Sessions keep pointers to the domain and to the
// operators, and may outlive any scope of ours: a registration lives as long as the process.
struct Registration {
  explicit Registration(const OrtApi& runtime)
      : api(runtime),
        max_pool(runtime, Layout::kPlanes),
        word_max_pool(runtime, Layout::kWords),
        pack(runtime, ChannelWordsOp::Direction::kPack),
        unpack(runtime, ChannelWordsOp::Direction::kUnpack) {
    Owned<OrtCustomOpDomain> created(api.ReleaseCustomOpDomain);
    Check(api, api.CreateCustomOpDomain(kDomain, created.out()));
    const auto add = [&](const CustomOp18& op) {
      Check(api, api.CustomOpDomain_Add(created.get(), &op));
    };
    for (const auto& form : kFloatConvs) {
      convs.push_back(std::make_unique<SparseConvOp<float>>(runtime, form));
      add(*convs.back());
    }
    for (const auto& form : kIntegerConvs) {
      integer_convs.push_back(std::make_unique<SparseConvOp<uint8_t>>(runtime, form));
      add(*integer_convs.back());
    }
    add(max_pool);
    add(word_max_pool);
    add(pack);
    add(unpack);
    domain = std::exchange(*created.out(), nullptr);
  }

  const OrtApi& api;
  std::vector<std::unique_ptr<SparseConvOp<float>>> convs;
  std::vector<std::unique_ptr<SparseConvOp<uint8_t>>> integer_convs;
  MaxPoolOp max_pool, word_max_pool;
  ChannelWordsOp pack, unpack;
  OrtCustomOpDomain* domain = nullptr;
};

// The registration for the runtime behind `api`; a process may hold more than one runtime.
Registration& RegistrationFor(const OrtApi& api) {
  static std::mutex mutex;
  static auto& registrations = *new std::vector<std::unique_ptr<Registration>>;
  const std::lock_guard<std::mutex> lock(mutex);
  for (const auto& known : registrations) {
    if (&known->api == &api) return *known;
  }
  registrations.push_back(std::make_unique<Registration>(api));
  return *registrations.back();
}

// Every runtime has API 1, and its CreateStatus is the one thing needed from it.
OrtStatus* RefuseOldRuntime(const OrtApiBase& base) {
  const OrtApi* oldest = base.GetApi(1);
  if (oldest == nullptr) return nullptr;
  const std::string message = std::string("ai.alcs: this library needs ONNX Runtime ") +
                              kMinimumRuntime + " or newer, and this is ONNX Runtime " +
                              base.GetVersionString();
  return oldest->CreateStatus(ORT_NOT_IMPLEMENTED, message.c_str());
}

}  // namespace
}  // namespace alcs::ort

extern "C" __attribute__((visibility("default"))) OrtStatus* ORT_API_CALL
RegisterCustomOps(OrtSessionOptions* options, const OrtApiBase* base) noexcept {
  using namespace alcs::ort;
  const OrtApi* api = base->GetApi(kApiVersion);
  if (api == nullptr) return RefuseOldRuntime(*base);
  return Guard(*api,
               [&] { Check(*api, api->AddCustomOpDomain(options, RegistrationFor(*api).domain)); });
}
