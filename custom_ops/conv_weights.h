// Convolutions made of a node's constant inputs: one reader for each stored form.
#ifndef ALCS_CUSTOM_OPS_CONV_WEIGHTS_H_
#define ALCS_CUSTOM_OPS_CONV_WEIGHTS_H_

#include <memory>

#include "alcs/quantized_conv.h"
#include "node_attributes.h"
#include "ort_api.h"

namespace alcs::ort {

// Reads and checks the constant inputs. Throws an Error that names what is at fault.
template <class Element>
using MakeConv = std::unique_ptr<ConvOf<Element>> (*)(const OrtApi& api, const OrtKernelInfo* info,
                                                      const NodeAttributes& attributes, Isa isa);

// X, values, positions, bias.
std::unique_ptr<ConvOf<float>> MakePlainConv(const OrtApi& api, const OrtKernelInfo* info,
                                             const NodeAttributes& attributes, Isa isa);

// X, codes, gaps, scales, bias, and the attributes that tell how to decode them.
std::unique_ptr<ConvOf<float>> MakePackedConv(const OrtApi& api, const OrtKernelInfo* info,
                                              const NodeAttributes& attributes, Isa isa);

// X, values, positions, w_scale, bias, x_scale, x_zero_point, y_scale, y_zero_point. With a
// residual: that, residual_scale, residual_zero_point.
std::unique_ptr<ConvOf<uint8_t>> MakeIntegerConv(const OrtApi& api, const OrtKernelInfo* info,
                                                 const NodeAttributes& attributes, Isa isa);
std::unique_ptr<ConvOf<uint8_t>> MakeIntegerConvAdd(const OrtApi& api, const OrtKernelInfo* info,
                                                    const NodeAttributes& attributes, Isa isa);

}  // namespace alcs::ort

#endif  // ALCS_CUSTOM_OPS_CONV_WEIGHTS_H_
