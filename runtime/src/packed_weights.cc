#include "alcs/packed_weights.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "check_range.h"

namespace alcs {
namespace {

// Reads numbers of up to 32 bits from a stream; the caller has checked that it is long enough.
class BitReader {
 public:
  explicit BitReader(const uint8_t* stream) : next_(stream) {}

  uint32_t Read(int bits) {
    while (available_ < bits) {
      buffer_ |= static_cast<uint64_t>(*next_++) << available_;
      available_ += 8;
    }
    const uint64_t mask = (uint64_t{1} << bits) - 1;
    const auto number = static_cast<uint32_t>(buffer_ & mask);
    buffer_ >>= bits;
    available_ -= bits;
    return number;
  }

  // Whether what is left of the last byte that was read is zero.
  bool rest_is_zero() const { return buffer_ == 0; }

 private:
  const uint8_t* next_;
  uint64_t buffer_ = 0;  // bits that were loaded and not read yet; zero above them
  int available_ = 0;
};

// `count` numbers of `bits` bits; neither is negative and their product fits.
Status CheckStream(const char* name, const uint8_t* stream, int64_t bytes, int64_t count,
                   int64_t bits) {
  const int64_t expected = (count * bits + 7) / 8;
  if (bytes != expected) {
    return Status::Error(std::string(name) + " have " + std::to_string(bytes) +
                         " bytes, expected " + std::to_string(expected) + " for " +
                         std::to_string(count) + " of " + std::to_string(bits) + " bits");
  }
  if (stream == nullptr && bytes > 0) return Status::Error(std::string(name) + " are missing");
  return Status();
}

Status Check(const ConvSpec& spec, const PackedWeightsView& packed, WeightGeometry* geometry) {
  Status status = CheckSpec(spec, geometry);
  if (!status.ok()) return status;
  // Levels are 8-bit integers, so that no level computed from these is beyond a float.
  const struct {
    const char* name;
    int64_t value;
    int64_t low;
    int64_t high;
  } numbers[] = {
      {"bits", packed.bits, 1, 8},
      {"index_bits", packed.index_bits, 0, 32},
      {"stored", packed.stored, 0, geometry->blocks * geometry->columns},
      {"first_level", packed.first_level, -128, 127},
      {"level_step", packed.level_step, 1, 255},
  };
  for (const auto& number : numbers) {
    status = CheckRange(number.name, number.value, number.low, number.high);
    if (!status.ok()) return status;
  }
  // stored and simd_group are below 2^31: their product fits, eight times it need not.
  const int64_t codes = packed.stored * spec.simd_group;
  if (codes > std::numeric_limits<int64_t>::max() / 16) {
    return Status::Error(std::to_string(codes) + " codes are too many");
  }
  status = CheckStream("codes", packed.codes, packed.code_bytes, codes, packed.bits);
  if (!status.ok()) return status;
  status = CheckStream("gaps", packed.gaps, packed.gap_bytes, packed.stored, packed.index_bits);
  if (!status.ok()) return status;
  if (packed.scale_count != 1 && packed.scale_count != spec.out_channels) {
    return Status::Error(std::to_string(packed.scale_count) + " scales, expected 1 or " +
                         std::to_string(spec.out_channels) + ", one for each output channel");
  }
  if (packed.scales == nullptr) return Status::Error("scales are missing");
  for (int64_t i = 0; i < packed.scale_count; ++i) {
    if (!std::isfinite(packed.scales[i])) {
      return Status::Error("scales[" + std::to_string(i) + "] is not a finite number");
    }
  }
  return Status();
}

}  // namespace

Status UnpackWeights(const ConvSpec& spec, const PackedWeightsView& packed,
                     std::vector<float>* values, std::vector<int32_t>* positions) {
  values->clear();
  positions->clear();
  WeightGeometry geometry;
  Status status = Check(spec, packed, &geometry);
  if (!status.ok()) return status;

  const int64_t limit = geometry.blocks * geometry.columns;
  const int64_t g = spec.simd_group;
  const int bits = static_cast<int>(packed.bits);
  BitReader codes(packed.codes);
  BitReader gaps(packed.gaps);
  int64_t position = -1;
  for (int64_t i = 0; i < packed.stored; ++i) {
    position += 1 + static_cast<int64_t>(gaps.Read(static_cast<int>(packed.index_bits)));
    if (position >= limit) {
      return Status::Error("stored group " + std::to_string(i) + " has the position " +
                           std::to_string(position) + ", expected less than " +
                           std::to_string(limit));
    }
    const int64_t block = position / geometry.columns;
    const int64_t conv_group = block / geometry.blocks_per_group;
    const int64_t first_row = block % geometry.blocks_per_group * g;  // in its conv group
    const int64_t rows = std::min(g, geometry.rows_per_group - first_row);
    const int64_t channel = conv_group * geometry.rows_per_group + first_row;
    const std::size_t start = values->size();
    values->resize(start + static_cast<std::size_t>(g));  // zeros
    bool empty = true;
    for (int64_t lane = 0; lane < g; ++lane) {
      const int64_t level = packed.first_level + packed.level_step * codes.Read(bits);
      if (lane >= rows || level == 0) continue;
      const float scale = packed.scales[packed.scale_count == 1 ? 0 : channel + lane];
      (*values)[start + static_cast<std::size_t>(lane)] = static_cast<float>(level) * scale;
      empty = false;
    }
    if (empty) {
      values->resize(start);
    } else {
      positions->push_back(static_cast<int32_t>(position));
    }
  }
  if (!codes.rest_is_zero()) return Status::Error("codes end in bits that are not zero");
  if (!gaps.rest_is_zero()) return Status::Error("gaps end in bits that are not zero");
  return Status();
}

}  // namespace alcs
