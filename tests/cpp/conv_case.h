// A convolution with random weights and operands, checked against the reference.
#ifndef ALCS_TESTS_CPP_CONV_CASE_H_
#define ALCS_TESTS_CPP_CONV_CASE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "alcs/conv.h"

namespace alcs {
namespace test {

using Random = std::mt19937_64;

// What a row of alcs/gates.h allows a kernel: see there.
struct GateBounds {
  double steepest;
  double (*error)(double v, double y);
};
const GateBounds& BoundsOf(Gate gate);

int64_t Uniform(Random& random, int64_t low, int64_t high);  // both ends included
float UniformFloat(Random& random);                          // [-1, 1)

// A sparse weight tensor that owns its arrays.
struct Weights {
  std::vector<float> values;
  std::vector<int32_t> positions;
  std::vector<float> bias;
  SparseWeightsView view() const;
};

// Each position, or each block with all of its columns, is stored with probability `density`. The
// padding rows of last blocks get weights
// too: they must not matter.
Weights RandomWeights(const ConvSpec& spec, double density, Random& random,
                      bool whole_blocks = false);

struct ConvCase {
  ConvSpec spec;
  int64_t batch = 1, height = 1, width = 1;
  double density = 0.5;
  bool whole_blocks = false;  // as where filters were removed
  bool residual = false;

  std::string Describe() const;
};

Activation RandomActivation(Random& random);

// Few channels and odd sizes, so that the reference stays quick.
ConvCase RandomCase(Random& random);

// Memory whose first or last byte lies next to an inaccessible page.
class GuardedMemory {
 public:
  GuardedMemory(std::size_t bytes, bool at_end);
  ~GuardedMemory();
  GuardedMemory(const GuardedMemory&) = delete;
  GuardedMemory& operator=(const GuardedMemory&) = delete;

  void* data() const { return data_; }
  float* floats() const { return reinterpret_cast<float*>(data_); }
  uint8_t* bytes() const { return data_; }
  // Whether the filling that surrounds the data is as it was.
  bool intact() const;

 private:
  unsigned char* map_;
  std::size_t map_bytes_, page_, bytes_;
  unsigned char* data_;
};

// Runs the case on `isa` and expects the reference's result, within what rounding can explain.
void CheckCase(const ConvCase& c, Isa isa, Random& random, const ParallelFor& parallel);

}  // namespace test
}  // namespace alcs

#endif  // ALCS_TESTS_CPP_CONV_CASE_H_
