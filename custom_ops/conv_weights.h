// The weights of a node, read from its constant inputs: one reader for each stored form.
#ifndef ALCS_CUSTOM_OPS_CONV_WEIGHTS_H_
#define ALCS_CUSTOM_OPS_CONV_WEIGHTS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "node_attributes.h"
#include "ort_api.h"

namespace alcs::ort {

// Weights as the engine takes them, borrowed from ORT or decoded into the two vectors.
struct ConvWeights {
  SparseWeightsView view;
  std::vector<float> values;
  std::vector<int32_t> positions;
};

// Reads and checks the inputs from 1 to the bias. Throws an Error that names what is at fault.
using ReadConvWeights = void (*)(const OrtApi& api, const OrtKernelInfo* info,
                                 const NodeAttributes& attributes, ConvWeights* weights);

// Element types of the inputs between X and the bias.
inline constexpr ONNXTensorElementDataType kPlainInputs[] = {
    ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,  // values
    ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32,  // positions
};
inline constexpr ONNXTensorElementDataType kPackedInputs[] = {
    ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8,  // codes
    ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8,  // gaps
    ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,  // scales
};

// values, positions, bias.
void ReadPlainWeights(const OrtApi& api, const OrtKernelInfo* info,
                      const NodeAttributes& attributes, ConvWeights* weights);

// codes, gaps, scales, bias, and the attributes that tell how to decode them.
void ReadPackedWeights(const OrtApi& api, const OrtKernelInfo* info,
                       const NodeAttributes& attributes, ConvWeights* weights);

}  // namespace alcs::ort

#endif  // ALCS_CUSTOM_OPS_CONV_WEIGHTS_H_
