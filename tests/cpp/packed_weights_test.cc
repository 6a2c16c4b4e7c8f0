// Quantized weights as they lie in a file: what they stand for, and files that lie.
#include "alcs/packed_weights.h"

#include <fstream>
#include <limits>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "conv_case.h"
#include "harness.h"

namespace alcs {
namespace test {
namespace {

using Case = std::map<std::string, std::vector<int64_t>>;

// The cases of tests/golden/packed_weights.txt; tools/write_golden.py tells its form.
std::vector<Case> GoldenCases() {
  std::vector<Case> cases;
  std::ifstream file(ALCS_GOLDEN_DIR "/packed_weights.txt");
  for (std::string line; std::getline(file, line);) {
    if (line.empty()) continue;
    std::istringstream words(line);
    std::string key;
    words >> key;
    if (key == "case") {
      cases.emplace_back();
      continue;
    }
    std::vector<int64_t>& numbers = cases.back()[key];
    for (int64_t number = 0; words >> number;) numbers.push_back(number);
  }
  return cases;
}

// A packed weight that owns its arrays.
struct Packed {
  ConvSpec spec;
  PackedWeightsView numbers;
  std::vector<uint8_t> codes;
  std::vector<uint8_t> gaps;
  std::vector<float> scales;

  PackedWeightsView view() const {
    PackedWeightsView view = numbers;
    view.codes = codes.data();
    view.code_bytes = static_cast<int64_t>(codes.size());
    view.gaps = gaps.data();
    view.gap_bytes = static_cast<int64_t>(gaps.size());
    view.scales = scales.data();
    view.scale_count = static_cast<int64_t>(scales.size());
    return view;
  }
};

Packed FromGolden(Case& golden) {
  Packed packed;
  const std::vector<int64_t>& shape = golden["weight_shape"];
  packed.spec.group = golden["group"][0];
  packed.spec.simd_group = golden["simd_group"][0];
  packed.spec.out_channels = shape[0];
  packed.spec.in_channels = shape[1] * packed.spec.group;
  packed.spec.kernel[0] = shape.size() == 4 ? shape[2] : 1;
  packed.spec.kernel[1] = shape.back();
  packed.numbers.bits = golden["bits"][0];
  packed.numbers.index_bits = golden["index_bits"][0];
  packed.numbers.stored = golden["stored"][0];
  packed.numbers.first_level = golden["first_level"][0];
  packed.numbers.level_step = golden["level_step"][0];
  for (const int64_t byte : golden["codes"]) packed.codes.push_back(static_cast<uint8_t>(byte));
  for (const int64_t byte : golden["gaps"]) packed.gaps.push_back(static_cast<uint8_t>(byte));
  for (const int64_t s : golden["scales_times_4"]) {
    packed.scales.push_back(static_cast<float>(s) / 4);
  }
  return packed;
}

TEST(PackedGoldenFile) {
  std::vector<Case> cases = GoldenCases();
  EXPECT(cases.size() >= 5, "the golden file has " << cases.size() << " cases");
  std::size_t dummies = 0;
  for (Case& golden : cases) {
    const Packed packed = FromGolden(golden);
    std::vector<float> values;
    std::vector<int32_t> positions;
    const Status status = UnpackWeights(packed.spec, packed.view(), &values, &positions);
    EXPECT(status.ok(), status.message());
    EXPECT(std::vector<int64_t>(positions.begin(), positions.end()) == golden["positions"],
           positions.size() << " positions differ");
    std::vector<int64_t> fourfold;
    for (const float value : values) fourfold.push_back(static_cast<int64_t>(value * 4));
    EXPECT(fourfold == golden["values_times_4"], values.size() << " values differ");
    dummies += static_cast<std::size_t>(golden["stored"][0]) - positions.size();
  }
  EXPECT(dummies > 0, "no case has a dummy group");
}

// 4 rows of 2 x 3 columns in blocks of 2; groups at 1, 2 and 5 of 12, 3 bits, 2 index bits.
Packed Good() {
  Packed packed;
  packed.spec.out_channels = 4;
  packed.spec.in_channels = 2;
  packed.spec.simd_group = 2;
  packed.spec.kernel[1] = 3;
  packed.numbers.bits = 3;
  packed.numbers.index_bits = 2;
  packed.numbers.stored = 3;
  packed.numbers.first_level = -3;
  packed.numbers.level_step = 1;
  packed.codes = {0x88, 0xc6, 0x02};  // 0 1 2 3 4 5 in 18 bits
  packed.gaps = {0x21};               // 1 0 2
  packed.scales = {0.5F};
  return packed;
}

TEST(PackedWeightsAreDecoded) {
  const Packed good = Good();
  std::vector<float> values;
  std::vector<int32_t> positions;
  const Status status = UnpackWeights(good.spec, good.view(), &values, &positions);
  EXPECT(status.ok(), status.message());
  EXPECT((positions == std::vector<int32_t>{1, 2, 5}), "positions");
  EXPECT((values == std::vector<float>{-1.5F, -1, -0.5F, 0, 0.5F, 1}), "values");
}

TEST(BadPackedWeightsAreRefused) {
  constexpr int64_t kBig = std::numeric_limits<int64_t>::max();
  const auto refused = [](auto change, const char* text) {
    Packed packed = Good();
    PackedWeightsView view = packed.view();
    change(packed, view);
    std::vector<float> values;
    std::vector<int32_t> positions;
    const Status status = UnpackWeights(packed.spec, view, &values, &positions);
    EXPECT(!status.ok(), "accepted, expected: " << text);
    EXPECT(status.message().find(text) != std::string::npos,
           "'" << status.message() << "' lacks '" << text << "'");
  };
  for (const int64_t bad : {int64_t{-1}, -kBig, kBig}) {
    refused([&](auto&, auto& v) { v.bits = bad; }, "bits is");
    refused([&](auto&, auto& v) { v.index_bits = bad; }, "index_bits is");
    refused([&](auto&, auto& v) { v.stored = bad; }, "stored is");
    refused([&](auto&, auto& v) { v.level_step = bad; }, "level_step is");
    refused([&](auto&, auto& v) { v.code_bytes = bad; }, "codes have");
    refused([&](auto&, auto& v) { v.gap_bytes = bad; }, "gaps have");
    refused([&](auto&, auto& v) { v.scale_count = bad; }, "scales, expected 1 or 4");
    refused([&](auto& p, auto&) { p.spec.out_channels = bad; }, "out_channels");
  }
  for (const int64_t bad : {int64_t{-129}, int64_t{128}, -kBig, kBig}) {
    refused([&](auto&, auto& v) { v.first_level = bad; }, "first_level is");
  }
  refused([](auto&, auto& v) { v.bits = 0; }, "bits is 0, expected 1 to 8");
  refused([](auto&, auto& v) { v.bits = 9; }, "bits is 9");
  refused([](auto&, auto& v) { v.index_bits = 33; }, "index_bits is 33, expected 0 to 32");
  refused([](auto&, auto& v) { v.level_step = 0; }, "level_step is 0");
  refused([](auto&, auto& v) { v.stored = 13; }, "stored is 13, expected 0 to 12");
  refused([](auto&, auto& v) { v.stored = 2; }, "codes have 3 bytes, expected 2");
  refused([](auto&, auto& v) { v.code_bytes = 2; }, "codes have 2 bytes, expected 3");
  refused([](auto&, auto& v) { v.code_bytes = 4; }, "codes have 4 bytes, expected 3");
  refused([](auto&, auto& v) { v.gap_bytes = 0; }, "gaps have 0 bytes, expected 1");
  refused([](auto&, auto& v) { v.scale_count = 0; }, "0 scales");
  refused([](auto&, auto& v) { v.codes = nullptr; }, "codes are missing");
  refused([](auto&, auto& v) { v.gaps = nullptr; }, "gaps are missing");
  refused([](auto&, auto& v) { v.scales = nullptr; }, "scales are missing");
  for (const float bad :
       {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
        std::numeric_limits<float>::quiet_NaN()}) {
    refused([&](auto& p, auto&) { p.scales[0] = bad; }, "scales[0] is not a finite number");
  }
  refused([](auto& p, auto&) { p.gaps[0] |= 0x40; }, "gaps end in bits that are not zero");
  refused([](auto& p, auto&) { p.codes[2] |= 0x80; }, "codes end in bits that are not zero");
  refused([](auto& p, auto&) { p.spec.kernel[1] = 1; }, "expected less than 4");
  // A product that leaves 64 bits: 2^31 - 2 groups of 2^31 - 2 codes of 8 bits.
  refused(
      [](auto& p, auto& v) {
        p.spec.out_channels = p.spec.simd_group = 0x7ffffffe;
        p.spec.in_channels = 0x7ffffffe;
        p.spec.kernel[1] = 1;
        v.stored = 0x7ffffffe;
        v.bits = 8;
      },
      "too many");
}

// Any bytes: an error or valid weights, and nothing outside the given memory is touched.
TEST(RandomPackedBytes) {
  Random random(Seed());
  for (int i = 0; i < CaseCount(); ++i) {
    Packed packed = Good();
    PackedWeightsView& numbers = packed.numbers;
    packed.spec.out_channels = Uniform(random, 1, 12);
    packed.spec.in_channels = Uniform(random, 1, 9);
    packed.spec.simd_group = Uniform(random, 1, 9);
    numbers.bits = Uniform(random, 1, 8);
    numbers.index_bits = Uniform(random, 0, i % 4 == 0 ? 32 : 3);
    numbers.stored = Uniform(random, 0, 8);
    numbers.first_level = Uniform(random, -128, 127);
    numbers.level_step = Uniform(random, 1, 255);
    const int64_t code_bits = numbers.stored * packed.spec.simd_group * numbers.bits;
    const int64_t gap_bits = numbers.stored * numbers.index_bits;
    const GuardedMemory codes(static_cast<std::size_t>((code_bits + 7) / 8), i % 2 == 0);
    const GuardedMemory gaps(static_cast<std::size_t>((gap_bits + 7) / 8), i % 2 == 0);
    PackedWeightsView view = packed.view();
    const auto fill = [&](const GuardedMemory& memory, int64_t bits) {
      auto* bytes = static_cast<uint8_t*>(memory.data());
      for (int64_t b = 0; b < (bits + 7) / 8; ++b) {
        bytes[b] = static_cast<uint8_t>(Uniform(random, 0, 255));
      }
      if (bits % 8 != 0) bytes[bits / 8] &= static_cast<uint8_t>((1 << bits % 8) - 1);
      return bytes;
    };
    view.codes = fill(codes, code_bits);
    view.code_bytes = (code_bits + 7) / 8;
    view.gaps = fill(gaps, gap_bits);
    view.gap_bytes = (gap_bits + 7) / 8;
    std::vector<float> values;
    std::vector<int32_t> positions;
    const Status status = UnpackWeights(packed.spec, view, &values, &positions);
    EXPECT(codes.intact() && gaps.intact(), "the streams were written to");
    if (!status.ok()) continue;
    const std::vector<float> bias(static_cast<std::size_t>(packed.spec.out_channels));
    SparseWeightsView plain;
    plain.values = values.data();
    plain.value_count = static_cast<int64_t>(values.size());
    plain.positions = positions.data();
    plain.nnz = static_cast<int64_t>(positions.size());
    plain.bias = bias.data();
    plain.bias_count = packed.spec.out_channels;
    const Status valid = CheckWeights(packed.spec, plain);
    EXPECT(valid.ok(), valid.message());
  }
}

}  // namespace
}  // namespace test
}  // namespace alcs
