#include "alcs/sparse_weights.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "check_range.h"

namespace alcs {
namespace {

constexpr int64_t kInt32Max = std::numeric_limits<int32_t>::max();

}  // namespace

Status CheckSpec(const ConvSpec& spec, WeightGeometry* geometry) {
  const struct {
    const char* name;
    int64_t value;
    int64_t low;
  } sizes[] = {
      {"out_channels", spec.out_channels, 1},
      {"in_channels", spec.in_channels, 1},
      {"group", spec.group, 1},
      {"simd_group", spec.simd_group, 1},
      {"kernel_shape", spec.kernel[0], 1},
      {"kernel_shape", spec.kernel[1], 1},
      {"strides", spec.strides[0], 1},
      {"strides", spec.strides[1], 1},
      {"dilations", spec.dilations[0], 1},
      {"dilations", spec.dilations[1], 1},
      {"pads", spec.pads[0], 0},
      {"pads", spec.pads[1], 0},
      {"pads", spec.pads[2], 0},
      {"pads", spec.pads[3], 0},
  };
  for (const auto& size : sizes) {
    Status status = CheckRange(size.name, size.value, size.low, kInt32Max);
    if (!status.ok()) return status;
  }
  if (spec.out_channels % spec.group != 0 || spec.in_channels % spec.group != 0) {
    return Status::Error("group " + std::to_string(spec.group) + " does not divide " +
                         std::to_string(spec.in_channels) + " input and " +
                         std::to_string(spec.out_channels) + " output channels");
  }
  Status status =
      CheckRange("simd_group", spec.simd_group, 1, std::max<int64_t>(spec.out_channels, 16));
  if (!status.ok()) return status;
  const Activation& act = spec.activation;
  if (!std::isfinite(act.slope) || !std::isfinite(act.low) || !std::isfinite(act.high)) {
    return Status::Error("slope, low and high must be finite");
  }
  if (act.low > act.high) return Status::Error("low is greater than high");
  status = CheckRange("gate", static_cast<int64_t>(act.gate), 0, kGates - 1);
  if (!status.ok()) return status;
  const Activation none;
  if (act.gate != Gate::kNone &&
      (act.slope != none.slope || act.low != none.low || act.high != none.high)) {
    return Status::Error(
        "a gate leaves no room for slope, low or high: they must be 1 and the "
        "limits of float");
  }

  // All factors are at most 2^31, so a product of two fits; each is checked before it grows.
  const int64_t area = spec.kernel[0] * spec.kernel[1];
  const int64_t channels = spec.in_channels / spec.group;
  geometry->rows_per_group = spec.out_channels / spec.group;
  geometry->blocks_per_group = (geometry->rows_per_group + spec.simd_group - 1) / spec.simd_group;
  geometry->blocks = geometry->blocks_per_group * spec.group;  // at most out_channels
  if (area > kInt32Max || area * channels > kInt32Max ||
      area * channels * geometry->blocks > kInt32Max) {
    return Status::Error("positions of " + std::to_string(geometry->blocks) +
                         " blocks do not fit 32 bits");
  }
  geometry->columns = area * channels;
  return Status();
}

Status CheckWeights(const ConvSpec& spec, const SparseWeightsView& weights) {
  WeightGeometry geometry;
  Status status = CheckSpec(spec, &geometry);
  if (!status.ok()) return status;
  const int64_t limit = geometry.blocks * geometry.columns;
  status = CheckRange("the number of positions", weights.nnz, 0, limit);
  if (!status.ok()) return status;
  if (weights.value_count < 0 || weights.value_count / spec.simd_group != weights.nnz ||
      weights.value_count % spec.simd_group != 0) {
    return Status::Error(std::to_string(weights.value_count) + " values for " +
                         std::to_string(weights.nnz) + " positions of " +
                         std::to_string(spec.simd_group) + " weights each");
  }
  if (weights.bias_count != spec.out_channels) {
    return Status::Error(std::to_string(weights.bias_count) + " biases for " +
                         std::to_string(spec.out_channels) + " output channels");
  }
  if (weights.bias == nullptr ||
      (weights.nnz > 0 && (weights.values == nullptr || weights.positions == nullptr))) {
    return Status::Error("values, positions or bias is missing");
  }
  int64_t previous = -1;
  for (int64_t i = 0; i < weights.nnz; ++i) {
    const int64_t position = weights.positions[i];
    if (position <= previous || position >= limit) {
      return Status::Error("positions[" + std::to_string(i) + "] is " + std::to_string(position) +
                           (position <= previous
                                ? ", not greater than the one before it"
                                : ", expected less than " + std::to_string(limit)));
    }
    previous = position;
  }
  return Status();
}

}  // namespace alcs
