// The attributes of our nodes, as the engine wants them.
#ifndef ALCS_CUSTOM_OPS_NODE_ATTRIBUTES_H_
#define ALCS_CUSTOM_OPS_NODE_ATTRIBUTES_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "alcs/sparse_weights.h"
#include "ort_api.h"

namespace alcs::ort {

// Where attributes are read from. Each call throws an Error that names the attribute if it is
// missing or of another type.
class AttributeSource {
 public:
  virtual ~AttributeSource() = default;
  virtual int64_t Int(const char* name) const = 0;
  // `absent` if there is no attribute of that name.
  virtual int64_t IntOr(const char* name, int64_t absent) const = 0;
  virtual float Float(const char* name) const = 0;
  virtual std::vector<int64_t> Ints(const char* name) const = 0;
};

// A node whose kernel is being created.
class KernelAttributes final : public AttributeSource {
 public:
  KernelAttributes(const OrtApi& api, const OrtKernelInfo* info) : api_(api), info_(info) {}
  int64_t Int(const char* name) const override;
  int64_t IntOr(const char* name, int64_t absent) const override;
  float Float(const char* name) const override;
  std::vector<int64_t> Ints(const char* name) const override;

 private:
  const OrtApi& api_;
  const OrtKernelInfo* info_;
};

// A node whose output shape is being inferred.
class ShapeInferenceAttributes final : public AttributeSource {
 public:
  ShapeInferenceAttributes(const OrtApi& api, const OrtShapeInferContext* context)
      : api_(api), context_(context) {}
  int64_t Int(const char* name) const override;
  int64_t IntOr(const char* name, int64_t absent) const override;
  float Float(const char* name) const override;
  std::vector<int64_t> Ints(const char* name) const override;

 private:
  const OrtOpAttr* FindOrNull(const char* name) const;
  const OrtOpAttr* Find(const char* name) const;

  const OrtApi& api_;
  const OrtShapeInferContext* context_;
};

// A convolution over one or two spatial axes; with one, the engine's height is 1.
struct NodeAttributes {
  ConvSpec spec;
  std::size_t spatial_rank = 2;

  std::size_t rank() const { return 2 + spatial_rank; }
  // Where the spatial axis `i` of a tensor (0 is the first) stands in the arrays of ConvSpec.
  std::size_t spec_axis(std::size_t i) const { return i + 2 - spatial_rank; }
};

// Reads and checks every attribute; throws an Error that names the one at fault.
NodeAttributes ReadNodeAttributes(const AttributeSource& source);

// The same for SimdMaxPool, which has kernel_shape, strides and pads, of two axes.
NodeAttributes ReadPoolAttributes(const AttributeSource& source);

// The output's size along `axis` (of ConvSpec) for an input of size `in`: ONNX's formula for a
// convolution. Zero or less when the kernel does not fit.
int64_t OutputSize(const ConvSpec& spec, std::size_t axis, int64_t in);

}  // namespace alcs::ort

#endif  // ALCS_CUSTOM_OPS_NODE_ATTRIBUTES_H_
