// Bytes in planes of channels, as other operators have them, and in words of four channels, as
// quantized_conv.h computes with them (NC4HW4).
#ifndef ALCS_CHANNEL_WORDS_H_
#define ALCS_CHANNEL_WORDS_H_

#include <cstdint>

#include "alcs/thread.h"

namespace alcs {

inline constexpr int64_t kWordChannels = 4;

// Words that hold so many channels; the last one may have some that are none.
constexpr int64_t WordsOf(int64_t channels) {
  return (channels + kWordChannels - 1) / kWordChannels;
}

// x: [n, channels, pixels]; y: [n, WordsOf(channels), pixels, 4], with zeros in what is no channel.
void PackChannels(int64_t n, int64_t channels, int64_t pixels, const uint8_t* x, uint8_t* y,
                  const ParallelFor& parallel) noexcept;

// x: [n, WordsOf(channels), pixels, 4]; y: [n, channels, pixels].
void UnpackChannels(int64_t n, int64_t channels, int64_t pixels, const uint8_t* x, uint8_t* y,
                    const ParallelFor& parallel) noexcept;

}  // namespace alcs

#endif  // ALCS_CHANNEL_WORDS_H_
