// Planes of channels into words of four, and back.
#include "alcs/channel_words.h"

#include <cstring>
#include <vector>

#include "conv_case.h"
#include "harness.h"
#include "threads_for.h"

namespace alcs {
namespace test {
namespace {

void CheckWords(int64_t n, int64_t channels, int64_t pixels, const ParallelFor& parallel) {
  const auto planes = static_cast<std::size_t>(n * channels * pixels);
  const auto words = static_cast<std::size_t>(n * WordsOf(channels) * pixels * kWordChannels);
  const GuardedMemory x(planes, true), y(words, true), back(planes, true);
  for (std::size_t i = 0; i < planes; ++i) x.bytes()[i] = static_cast<uint8_t>(i * 7 + i / 251);
  std::memset(y.data(), 0x5a, words);
  PackChannels(n, channels, pixels, x.bytes(), y.bytes(), parallel);
  bool same = true;
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t c = 0; c < WordsOf(channels) * kWordChannels; ++c) {
      for (int64_t p = 0; p < pixels; ++p) {
        const int64_t word = (i * WordsOf(channels) + c / kWordChannels) * pixels + p;
        const int expected = c < channels ? x.bytes()[(i * channels + c) * pixels + p] : 0;
        same = same && y.bytes()[word * kWordChannels + c % kWordChannels] == expected;
      }
    }
  }
  EXPECT(same, n << " x " << channels << " x " << pixels << " into words");
  UnpackChannels(n, channels, pixels, y.bytes(), back.bytes(), parallel);
  EXPECT(std::memcmp(x.bytes(), back.bytes(), planes) == 0,
         n << " x " << channels << " x " << pixels << " and back");
  EXPECT(y.intact() && back.intact(), "wrote outside for " << channels << " x " << pixels);
}

TEST(ChannelWords) {
  for (const int64_t channels : {1, 2, 3, 4, 5, 8, 11}) {
    for (const int64_t pixels : {1, 3, 15, 16, 17, 31, 64, 100}) {
      CheckWords(1 + pixels % 2, channels, pixels, SerialFor());
    }
  }
  CheckWords(0, 4, 9, SerialFor());
}

// More than one task for a word.
TEST(ChannelWordsOfLargeImages) {
  const ThreadsFor threads(4);
  CheckWords(1, 3, 224 * 224, threads);
  EXPECT(threads.most_tasks() > 1, "one task alone");
  CheckWords(2, 6, 224 * 224 + 5, threads);
}

}  // namespace
}  // namespace test
}  // namespace alcs
