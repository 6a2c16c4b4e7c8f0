// The operators ai.alcs::PackNC4HW4 and UnpackNC4HW4: bytes [N, C, spatial axes] into the words of
// four channels [N, C / 4, spatial axes, 4] that convolutions of integers compute with, and back.
#ifndef ALCS_CUSTOM_OPS_CHANNEL_WORDS_OP_H_
#define ALCS_CUSTOM_OPS_CHANNEL_WORDS_OP_H_

#include "ort_api.h"

namespace alcs::ort {

// ORT keeps the address of an operator for as long as any session uses it.
class ChannelWordsOp : public CustomOp18 {
 public:
  enum class Direction { kPack, kUnpack };

  ChannelWordsOp(const OrtApi& api, Direction direction);
  ChannelWordsOp(const ChannelWordsOp&) = delete;
  ChannelWordsOp& operator=(const ChannelWordsOp&) = delete;

  const OrtApi& api() const { return api_; }
  Direction direction() const { return direction_; }

 private:
  const OrtApi& api_;
  const Direction direction_;
};

}  // namespace alcs::ort

#endif  // ALCS_CUSTOM_OPS_CHANNEL_WORDS_OP_H_
