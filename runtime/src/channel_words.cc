#include "alcs/channel_words.h"

#include <algorithm>

#include "parallel.h"
#include "sizes.h"

namespace alcs {
namespace {

// Pixels of a word that are one task: a few microseconds of work.
constexpr int64_t kChunk = 16384;

// The pixels [first, last) of four planes, or of as many as there are, into words.
void Interleave(const uint8_t* x, int64_t planes, int64_t pixels, int64_t first, int64_t last,
                uint8_t* __restrict y) {
  if (planes < kWordChannels) {
    std::fill(y + first * kWordChannels, y + last * kWordChannels, uint8_t{0});
    for (int64_t c = 0; c < planes; ++c) {
      for (int64_t p = first; p < last; ++p) y[p * kWordChannels + c] = x[c * pixels + p];
    }
    return;
  }
  const uint8_t *const a = x, *const b = a + pixels, *const c = b + pixels, *const d = c + pixels;
  for (int64_t p = first; p < last; ++p) {
    y[kWordChannels * p] = a[p];
    y[kWordChannels * p + 1] = b[p];
    y[kWordChannels * p + 2] = c[p];
    y[kWordChannels * p + 3] = d[p];
  }
}

void Separate(const uint8_t* x, int64_t planes, int64_t pixels, int64_t first, int64_t last,
              uint8_t* y) {
  if (planes < kWordChannels) {
    for (int64_t c = 0; c < planes; ++c) {
      for (int64_t p = first; p < last; ++p) y[c * pixels + p] = x[p * kWordChannels + c];
    }
    return;
  }
  // A task's own pixels of the planes do not overlap.
  uint8_t* __restrict a = y;
  uint8_t* __restrict b = a + pixels;
  uint8_t* __restrict c = b + pixels;
  uint8_t* __restrict d = c + pixels;
  for (int64_t p = first; p < last; ++p) {
    a[p] = x[kWordChannels * p];
    b[p] = x[kWordChannels * p + 1];
    c[p] = x[kWordChannels * p + 2];
    d[p] = x[kWordChannels * p + 3];
  }
}

// run(planes, words, channels of the word, first pixel, last pixel) for all parts of all words:
// where the planes and the words begin are offsets.
template <class Run>
void ForEachWord(int64_t n, int64_t channels, int64_t pixels, const ParallelFor& parallel,
                 const Run& run) {
  const int64_t words = WordsOf(channels), chunks = CeilDiv(pixels, kChunk);
  ForEach(static_cast<std::size_t>(n * words * chunks), parallel, [&](std::size_t i) {
    const int64_t chunk = static_cast<int64_t>(i) % chunks;
    const int64_t image = static_cast<int64_t>(i) / chunks / words;
    const int64_t word = static_cast<int64_t>(i) / chunks % words;
    const int64_t planes = std::min(kWordChannels, channels - word * kWordChannels);
    run((image * channels + word * kWordChannels) * pixels,
        (image * words + word) * pixels * kWordChannels, planes, chunk * kChunk,
        std::min(pixels, (chunk + 1) * kChunk));
  });
}

}  // namespace

void PackChannels(int64_t n, int64_t channels, int64_t pixels, const uint8_t* x, uint8_t* y,
                  const ParallelFor& parallel) noexcept {
  ForEachWord(n, channels, pixels, parallel,
              [&](int64_t from, int64_t to, int64_t planes, int64_t first, int64_t last) {
                Interleave(x + from, planes, pixels, first, last, y + to);
              });
}

void UnpackChannels(int64_t n, int64_t channels, int64_t pixels, const uint8_t* x, uint8_t* y,
                    const ParallelFor& parallel) noexcept {
  ForEachWord(n, channels, pixels, parallel,
              [&](int64_t to, int64_t from, int64_t planes, int64_t first, int64_t last) {
                Separate(x + from, planes, pixels, first, last, y + to);
              });
}

}  // namespace alcs
