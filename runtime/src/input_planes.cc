#include "input_planes.h"

#include <algorithm>
#include <limits>
#include <string>

#include "cost_rule.h"
#include "sizes.h"

namespace alcs {
namespace {

constexpr auto kInt32Max = static_cast<double>(std::numeric_limits<int32_t>::max());

// `separate`: a plane per kernel index. Otherwise indices that differ by a multiple of the stride
// share one.
Axis MakeAxis(std::vector<int64_t> used, int64_t stride, int64_t dilation, int64_t pad,
              bool separate) {
  std::sort(used.begin(), used.end());
  used.erase(std::unique(used.begin(), used.end()), used.end());
  if (used.empty()) used.push_back(0);
  Axis axis;
  for (const int64_t index : used) {
    const int64_t start = index * dilation - pad;
    std::size_t plane = 0;
    while (plane < axis.start.size() && (separate || (start - axis.start[plane]) % stride != 0)) {
      ++plane;
    }
    if (plane == axis.start.size()) axis.start.push_back(start);
    axis.plane.push_back(static_cast<int64_t>(plane));
    axis.shift.push_back((start - axis.start[plane]) / stride);
    axis.max_shift = std::max(axis.max_shift, axis.shift.back());
  }
  axis.used = std::move(used);
  return axis;
}

// Zeros at the end of a row that are also those at the start of the next one, so that they need be
// stored only once.
int64_t SharedZeros(const Axis& axis, int64_t stride, int64_t out, int64_t in) {
  int64_t shared = axis.max_shift;
  for (const int64_t start : axis.start) {
    const int64_t left = start < 0 ? CeilDiv(-start, stride) : 0;
    const int64_t inside = start < in ? CeilDiv(in - start, stride) : 0;
    const int64_t right = std::max<int64_t>(0, out + axis.max_shift - inside);
    shared = std::min({shared, left, right});
  }
  return shared;
}

// Pixels between two rows of a plane that are no output.
int64_t RowGap(const ConvSpec& spec, const ConvSizes& sizes, const Axis& axis) {
  return axis.max_shift - SharedZeros(axis, spec.strides[1], sizes.out_width, sizes.in_width);
}

// Output rows of a band: those, with at most `most` prepared rows, that cost the least in vectors
// computed and in rows prepared twice. 0 if bands do not suit.
int64_t BandRows(const ConvSizes& sizes, int64_t width, int64_t overlap, int64_t most,
                 int64_t lanes) {
  const auto vectors_of = [&](int64_t rows) {
    return sizes.out_width % lanes == 0 ? rows * (sizes.out_width / lanes)
                                        : CeilDiv((rows - 1) * width + sizes.out_width, lanes);
  };
  int64_t low = 1;
  while (low < sizes.out_height && vectors_of(low) < cost::kMinBandVectors) ++low;
  if (CeilDiv(sizes.out_height, low) < cost::kMinBands) return 0;
  const int64_t high = std::max(low, std::min(sizes.out_height / cost::kMinBands, most - overlap));
  int64_t best = 0;
  double best_cost = std::numeric_limits<double>::max();
  for (int64_t rows = std::max(low, high / 2); rows <= high; ++rows) {
    const double prepared = cost::kPreparePerVector *
                            static_cast<double>((rows + overlap) * width) /
                            static_cast<double>(lanes);
    const double cost = static_cast<double>(CeilDiv(sizes.out_height, rows)) *
                        (static_cast<double>(vectors_of(rows)) + prepared);
    if (cost <= best_cost) {
      best_cost = cost;
      best = rows;
    }
  }
  return best;
}

bool Pointwise(const ConvSpec& spec) {
  return spec.kernel[0] == 1 && spec.kernel[1] == 1 && spec.strides[0] == 1 &&
         spec.strides[1] == 1 &&
         std::all_of(spec.pads, spec.pads + 4, [](int64_t p) { return p == 0; });
}

// All sizes are bounded by checking each product in floating point first.
Status LayOutPadded(const ConvSpec& spec, const ConvSizes& sizes, int64_t lanes,
                    InputPlanes* made) {
  const int64_t overlap = made->vertical.max_shift;
  const int64_t between = RowGap(spec, sizes, made->horizontal);
  const int64_t shared = made->horizontal.max_shift - between;
  made->width = sizes.out_width + between;
  made->rows = sizes.out_height + overlap;
  const int64_t planes = made->planes();
  if (static_cast<double>(made->rows) * static_cast<double>(made->width) *
          static_cast<double>(planes) >
      kInt32Max) {
    return Status::Error("an input channel needs more scratch memory than is supported");
  }
  const int64_t row_words = planes * made->width * spec.in_channels;
  if (static_cast<double>(made->rows) * static_cast<double>(row_words) > cost::kMaxPreparedWords) {
    made->bands.rows =
        BandRows(sizes, made->width, overlap, cost::kMaxPreparedWords / 2 / row_words, lanes);
  }
  if (made->bands.rows > 0) {
    made->bands.count = CeilDiv(sizes.out_height, made->bands.rows);
    made->rows = made->bands.rows + overlap;
  }
  made->plane_stride = made->rows * made->width + shared;
  made->channel_stride = CeilDiv(planes * made->plane_stride + lanes, 16) * 16;
  // Channels a page apart would compete for the same cache sets.
  if (made->channel_stride % 1024 == 0) made->channel_stride += 16;
  return Status();
}

}  // namespace

int64_t Axis::Place(int64_t index, int64_t plane_step, int64_t shift_step) const {
  const auto at =
      static_cast<std::size_t>(std::lower_bound(used.begin(), used.end(), index) - used.begin());
  return plane[at] * plane_step + shift[at] * shift_step;
}

int64_t InputPlanes::Offset(int64_t channel, int64_t row, int64_t column) const {
  return channel * channel_stride + vertical.Place(row, horizontal.planes() * plane_stride, width) +
         horizontal.Place(column, plane_stride, 1);
}

Status LayOut(const ConvSpec& spec, const ConvSizes& sizes, const std::vector<int32_t>& used,
              const kernels::TileShape& shape, InputPlanes* planes) {
  InputPlanes made;
  const int64_t pixels = sizes.in_height * sizes.in_width;
  std::vector<int64_t> rows, columns;
  for (const int32_t column : used) {
    rows.push_back(column / spec.kernel[1] % spec.kernel[0]);
    columns.push_back(column % spec.kernel[1]);
  }
  made.vertical =
      MakeAxis(std::move(rows), spec.strides[0], spec.dilations[0], spec.pads[0], false);
  const auto make_horizontal = [&](bool separate) {
    return MakeAxis(columns, spec.strides[1], spec.dilations[1], spec.pads[1], separate);
  };
  made.horizontal = make_horizontal(false);
  const cost::Copying copying = {
      sizes.out_height,
      sizes.out_width,
      RowGap(spec, sizes, made.horizontal),
      spec.in_channels / spec.group,
      static_cast<int64_t>(made.vertical.used.size()),
      static_cast<int64_t>(made.horizontal.used.size()),
  };
  if (cost::CopyPerColumn(shape, copying)) made.horizontal = make_horizontal(true);
  // Without masks the last pixels are reached by moving a whole vector back.
  made.direct = Pointwise(spec) && shape.in_place && (shape.masks || pixels >= shape.lanes) &&
                !cost::Crowded(spec.in_channels, pixels);
  if (made.direct) {
    made.width = sizes.out_width;
    made.channel_stride = pixels;
  } else {
    const Status status = LayOutPadded(spec, sizes, shape.lanes, &made);
    if (!status.ok()) return status;
  }
  if (static_cast<double>(made.channel_stride) * static_cast<double>(spec.in_channels) >
      kInt32Max) {
    return Status::Error("an image of " + std::to_string(spec.in_channels) + " x " +
                         std::to_string(sizes.in_height) + " x " + std::to_string(sizes.in_width) +
                         " is too large");
  }
  made.words = CeilDiv(spec.in_channels * made.channel_stride + 2 * shape.lanes, 16) * 16;
  *planes = std::move(made);
  return Status();
}

}  // namespace alcs
