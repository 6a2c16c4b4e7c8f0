"""Kinds of operators, for colours."""

from __future__ import annotations

from alcs_onnx.pipeline.inspect.result import NodeFacts
from alcs_onnx.sparse_format import OP_DOMAIN

_SPARSE = "sparse convolution"
_OTHER = "other"

#: Operators of each kind, after the colour of the kind.
_OPERATORS = {
    "convolution": (
        "kind-0",
        "Conv ConvInteger ConvTranspose DeformConv QLinearConv",
    ),
    _SPARSE: ("kind-1", ""),
    "matrix product": (
        "kind-2",
        "Attention Einsum Gemm GRU LSTM MatMul MatMulInteger QLinearMatMul RNN",
    ),
    "normalization": (
        "kind-3",
        "BatchNormalization GroupNormalization InstanceNormalization LayerNormalization LRN "
        "LpNormalization MeanVarianceNormalization RMSNormalization",
    ),
    "activation": (
        "kind-4",
        "Celu Clip Elu Erf Gelu HardSigmoid HardSwish Hardmax LeakyRelu LogSoftmax Mish PRelu "
        "Relu Selu Sigmoid Softmax Softplus Softsign Swish Tanh ThresholdedRelu",
    ),
    "arithmetic": (
        "kind-5",
        "Abs Add And Ceil Cos Div Equal Exp Floor Greater GreaterOrEqual Less LessOrEqual Log Max "
        "Mean Min Mod Mul Neg Not Or Pow Reciprocal Round Sign Sin Sqrt Sub Sum Where Xor",
    ),
    "pooling and resizing": (
        "kind-6",
        "AveragePool GlobalAveragePool GlobalLpPool GlobalMaxPool GridSample LpPool MaxPool "
        "MaxUnpool ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin "
        "ReduceProd ReduceSum ReduceSumSquare Resize RoiAlign Upsample",
    ),
    "moves data": (
        "kind-7",
        "Cast Concat ConstantOfShape DepthToSpace DequantizeLinear Dropout Expand Flatten "
        "Gather GatherElements GatherND Identity OneHot Pad QuantizeLinear Range Reshape "
        "ScatterElements ScatterND Shape Slice SpaceToDepth Split Squeeze Tile TopK Transpose "
        "Unsqueeze",
    ),
    _OTHER: ("kind-8", ""),
}

#: The fill of each kind, in the order of the legend.
KINDS = {kind: fill for kind, (fill, _) in _OPERATORS.items()}
_KIND_OF = {op: kind for kind, (_, operators) in _OPERATORS.items() for op in operators.split()}


def kind_of(node: NodeFacts) -> str:
    """The kind of a node, one of `KINDS`."""
    if node.domain == OP_DOMAIN:
        return _SPARSE
    return _OTHER if node.domain else _KIND_OF.get(node.op, _OTHER)
