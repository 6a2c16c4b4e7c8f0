#include "node_attributes.h"

#include <string>

#include "alcs/max_pool.h"

namespace alcs::ort {
namespace {

// More integers than any list attribute of the op may have.
constexpr std::size_t kMaximumInts = 16;

[[noreturn]] void ThrowMissing(const char* name, const char* type) {
  throw Error("attribute '" + std::string(name) + "' is missing or is not " + type);
}

// The list `name`, which must have `count` entries.
std::vector<int64_t> IntsOf(const AttributeSource& source, const char* name, std::size_t count) {
  std::vector<int64_t> list = source.Ints(name);
  if (list.size() != count) {
    throw Error("attribute '" + std::string(name) + "' has " + std::to_string(list.size()) +
                " entries where " + std::to_string(count) + " are needed");
  }
  return list;
}

// The attributes that tell how the window lies.
void ReadWindow(const AttributeSource& source, NodeAttributes* node) {
  ConvSpec& spec = node->spec;
  const std::vector<int64_t> kernel = source.Ints("kernel_shape");
  node->spatial_rank = kernel.size();
  if (node->spatial_rank != 1 && node->spatial_rank != 2) {
    throw Error("attribute 'kernel_shape' has " + std::to_string(kernel.size()) +
                " entries where 1 or 2 are needed");
  }
  const std::size_t n = node->spatial_rank;
  const std::vector<int64_t> strides = IntsOf(source, "strides", n);
  const std::vector<int64_t> pads = IntsOf(source, "pads", 2 * n);
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t axis = node->spec_axis(i);
    spec.kernel[axis] = kernel[i];
    spec.strides[axis] = strides[i];
    spec.pads[axis] = pads[i];
    spec.pads[2 + axis] = pads[n + i];
  }
}

}  // namespace

int64_t KernelAttributes::Int(const char* name) const {
  int64_t value = 0;
  if (!Succeeded(api_, api_.KernelInfoGetAttribute_int64(info_, name, &value))) {
    ThrowMissing(name, "an integer");
  }
  return value;
}

int64_t KernelAttributes::IntOr(const char* name, int64_t absent) const {
  int64_t value = 0;
  if (Succeeded(api_, api_.KernelInfoGetAttribute_int64(info_, name, &value))) return value;
  // ORT fails for an attribute of another type just as for none: ask for those that it may be.
  float number = 0;
  std::size_t size = 0;
  if (Succeeded(api_, api_.KernelInfoGetAttribute_float(info_, name, &number)) ||
      Succeeded(api_, api_.KernelInfoGetAttribute_string(info_, name, nullptr, &size)) ||
      Succeeded(api_, api_.KernelInfoGetAttributeArray_int64(info_, name, nullptr, &size)) ||
      Succeeded(api_, api_.KernelInfoGetAttributeArray_float(info_, name, nullptr, &size))) {
    throw Error("attribute '" + std::string(name) + "' is not an integer");
  }
  return absent;
}

float KernelAttributes::Float(const char* name) const {
  float value = 0;
  if (!Succeeded(api_, api_.KernelInfoGetAttribute_float(info_, name, &value))) {
    ThrowMissing(name, "a float");
  }
  return value;
}

std::vector<int64_t> KernelAttributes::Ints(const char* name) const {
  std::size_t count = 0;
  if (!Succeeded(api_, api_.KernelInfoGetAttributeArray_int64(info_, name, nullptr, &count))) {
    ThrowMissing(name, "a list of integers");
  }
  std::vector<int64_t> values(count);
  Check(api_, api_.KernelInfoGetAttributeArray_int64(info_, name, values.data(), &count));
  return values;
}

const OrtOpAttr* ShapeInferenceAttributes::FindOrNull(const char* name) const {
  const OrtOpAttr* attribute = nullptr;
  return Succeeded(api_, api_.ShapeInferContext_GetAttribute(context_, name, &attribute))
             ? attribute
             : nullptr;
}

const OrtOpAttr* ShapeInferenceAttributes::Find(const char* name) const {
  const OrtOpAttr* attribute = FindOrNull(name);
  if (attribute == nullptr) ThrowMissing(name, "readable");
  return attribute;
}

int64_t ShapeInferenceAttributes::Int(const char* name) const {
  int64_t value = 0;
  std::size_t bytes = 0;
  Check(api_, api_.ReadOpAttr(Find(name), ORT_OP_ATTR_INT, &value, sizeof(value), &bytes));
  return value;
}

int64_t ShapeInferenceAttributes::IntOr(const char* name, int64_t absent) const {
  return FindOrNull(name) == nullptr ? absent : Int(name);
}

float ShapeInferenceAttributes::Float(const char* name) const {
  float value = 0;
  std::size_t bytes = 0;
  Check(api_, api_.ReadOpAttr(Find(name), ORT_OP_ATTR_FLOAT, &value, sizeof(value), &bytes));
  return value;
}

std::vector<int64_t> ShapeInferenceAttributes::Ints(const char* name) const {
  std::vector<int64_t> values(kMaximumInts);
  std::size_t bytes = values.size() * sizeof(values[0]);
  Check(api_, api_.ReadOpAttr(Find(name), ORT_OP_ATTR_INTS, values.data(), bytes, &bytes));
  values.resize(bytes / sizeof(values[0]));
  return values;
}

NodeAttributes ReadNodeAttributes(const AttributeSource& source) {
  NodeAttributes node;
  ConvSpec& spec = node.spec;
  spec.out_channels = source.Int("out_channels");
  spec.in_channels = source.Int("in_channels");
  spec.simd_group = source.Int("simd_group");
  spec.group = source.Int("group");
  spec.activation.slope = source.Float("slope");
  spec.activation.low = source.Float("low");
  spec.activation.high = source.Float("high");
  // Files written before there were gates lack it.
  const int64_t gate = source.IntOr("gate", 0);
  if (gate < 0 || gate >= kGates) {
    throw Error("attribute 'gate' is " + std::to_string(gate) + ", expected 0 to " +
                std::to_string(kGates - 1));
  }
  spec.activation.gate = static_cast<Gate>(gate);

  ReadWindow(source, &node);
  const auto rank = node.spatial_rank;
  const std::vector<int64_t> dilations = IntsOf(source, "dilations", rank);
  for (std::size_t i = 0; i < rank; ++i) spec.dilations[node.spec_axis(i)] = dilations[i];

  WeightGeometry geometry;
  const Status status = CheckSpec(spec, &geometry);
  if (!status.ok()) throw Error(status.message());
  return node;
}

NodeAttributes ReadPoolAttributes(const AttributeSource& source) {
  NodeAttributes node;
  ReadWindow(source, &node);
  if (node.spatial_rank != 2) throw Error("attribute 'kernel_shape' needs 2 entries");
  // The engine's own checks, before any size is computed.
  MaxPool pool;
  const Status status = MaxPool::Create(node.spec, Isa::kReference, &pool);
  if (!status.ok()) throw Error(status.message());
  return node;
}

int64_t OutputSize(const ConvSpec& spec, std::size_t axis, int64_t in) {
  const int64_t kernel_extent = spec.dilations[axis] * (spec.kernel[axis] - 1) + 1;
  const int64_t room = in + spec.pads[axis] + spec.pads[2 + axis] - kernel_extent;
  return room < 0 ? 0 : room / spec.strides[axis] + 1;
}

}  // namespace alcs::ort
