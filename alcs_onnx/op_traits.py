"""THE table of ONNX operators: what the package has to know of each, one row an operator.

Plain data, mostly about the default domain; an operator of another one is called by both names, as
`com.microsoft.Gelu`. Modules that treat operators alike ask for those with a trait
instead of naming them: the coupling rules which work number by number, the rewriter what keeps a
memory layout, the attribution of times what the runtime fuses, the pages which colour a node gets.
What an operator needs a function for (its coupling, its gradient, its cost) is registered there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto


class Kind(Enum):
    """What an operator is for; the values are how pages call it."""

    CONVOLUTION = "convolution"
    PRODUCT = "matrix product"
    NORMALIZATION = "normalization"
    ACTIVATION = "activation"
    ARITHMETIC = "arithmetic"
    POOLING = "pooling and resizing"
    MOVEMENT = "moves data"


class Elementwise(Enum):
    """How the numbers of the output come from those at the same place in the inputs."""

    UNARY = auto()  #: from the first input; further ones (limits, ratios) are scalars
    BROADCAST = auto()  #: from all inputs, broadcast to each other


class Zeros(Enum):
    """Where the output's channels are zero at every pixel, given the inputs' that are.

    An operator without this trait, or a rule of its own (`coupling.zeros`), may make anything of
    all channels.
    """

    KEPT = auto()  #: where those of the first input are: f(0) = 0, moved, or summed in a channel
    LOST = auto()  #: nowhere: f(0) is not 0
    OF_ALL = auto()  #: where every operand is zero
    OF_ANY = auto()  #: where one operand is zero


@dataclass(frozen=True)
class OpTraits:
    """One row.

    `linear`: a linear map of its first input with weights, whose result may be overwritten in
    training. `in_conv` and `in_gemm`: ONNX Runtime fuses the operator into a preceding Conv (its
    element-wise sum included, or folded into the weights) or Gemm. `blocked`: its output stays in
    ONNX Runtime's blocked layout (NCHWc) if its inputs are in it.
    """

    op_type: str
    kind: Kind
    elementwise: Elementwise | None = None
    zeros: Zeros | None = None
    linear: bool = False
    in_conv: bool = False
    in_gemm: bool = False
    blocked: bool = False


_Row = OpTraits
_UNARY, _BROADCAST = Elementwise.UNARY, Elementwise.BROADCAST
_KEPT, _LOST, _OF_ALL, _OF_ANY = Zeros.KEPT, Zeros.LOST, Zeros.OF_ALL, Zeros.OF_ANY

_ROWS = (
    # -- convolutions and matrix products ------------------------------------------------
    _Row("Conv", Kind.CONVOLUTION, linear=True),
    _Row("com.microsoft.FusedConv", Kind.CONVOLUTION),
    _Row("ConvInteger", Kind.CONVOLUTION),
    _Row("ConvTranspose", Kind.CONVOLUTION, linear=True),
    _Row("DeformConv", Kind.CONVOLUTION),
    _Row("QLinearConv", Kind.CONVOLUTION),
    _Row("Attention", Kind.PRODUCT),
    _Row("Einsum", Kind.PRODUCT),
    _Row("GRU", Kind.PRODUCT),
    _Row("Gemm", Kind.PRODUCT, linear=True),
    _Row("LSTM", Kind.PRODUCT),
    _Row("MatMul", Kind.PRODUCT, linear=True),
    _Row("MatMulInteger", Kind.PRODUCT),
    _Row("QLinearMatMul", Kind.PRODUCT),
    _Row("RNN", Kind.PRODUCT),
    # -- normalizations ------------------------------------------------------------------
    _Row("BatchNormalization", Kind.NORMALIZATION, in_conv=True, blocked=True),
    _Row("GroupNormalization", Kind.NORMALIZATION),
    _Row("InstanceNormalization", Kind.NORMALIZATION),
    _Row("LRN", Kind.NORMALIZATION),
    _Row("LayerNormalization", Kind.NORMALIZATION),
    _Row("LpNormalization", Kind.NORMALIZATION),
    _Row("MeanVarianceNormalization", Kind.NORMALIZATION),
    _Row("RMSNormalization", Kind.NORMALIZATION),
    # -- activations ---------------------------------------------------------------------
    _Row("Celu", Kind.ACTIVATION, _UNARY, _KEPT),
    _Row("Clip", Kind.ACTIVATION, _UNARY, in_conv=True, blocked=True),
    _Row("com.microsoft.BiasGelu", Kind.ACTIVATION, _BROADCAST, _OF_ALL),
    _Row("com.microsoft.FastGelu", Kind.ACTIVATION, _BROADCAST, _OF_ALL),
    _Row("com.microsoft.Gelu", Kind.ACTIVATION, _UNARY, _KEPT),
    _Row("com.microsoft.QuickGelu", Kind.ACTIVATION, _UNARY, _KEPT),
    _Row("Elu", Kind.ACTIVATION, _UNARY, _KEPT, in_gemm=True),
    _Row("Erf", Kind.ACTIVATION, _UNARY, _KEPT),
    _Row("Gelu", Kind.ACTIVATION, _UNARY, _KEPT),
    _Row("HardSigmoid", Kind.ACTIVATION, _UNARY, _LOST, in_conv=True, in_gemm=True),
    _Row("HardSwish", Kind.ACTIVATION, _UNARY, _KEPT),
    _Row("Hardmax", Kind.ACTIVATION),
    _Row("LeakyRelu", Kind.ACTIVATION, _UNARY, _KEPT, in_conv=True, in_gemm=True, blocked=True),
    _Row("LogSoftmax", Kind.ACTIVATION),
    _Row("Mish", Kind.ACTIVATION, _UNARY, _KEPT),
    _Row("PRelu", Kind.ACTIVATION, _BROADCAST, _KEPT),
    _Row("Relu", Kind.ACTIVATION, _UNARY, _KEPT, in_conv=True, in_gemm=True, blocked=True),
    _Row("Selu", Kind.ACTIVATION, _UNARY, _KEPT, in_gemm=True),
    _Row("Shrink", Kind.ACTIVATION, _UNARY),
    _Row("Sigmoid", Kind.ACTIVATION, _UNARY, _LOST, in_conv=True, in_gemm=True, blocked=True),
    _Row("Softmax", Kind.ACTIVATION),
    _Row("Softplus", Kind.ACTIVATION, _UNARY, _LOST, in_gemm=True),
    _Row("Softsign", Kind.ACTIVATION, _UNARY, _KEPT, in_gemm=True),
    _Row("Swish", Kind.ACTIVATION, _UNARY, _KEPT),
    _Row("Tanh", Kind.ACTIVATION, _UNARY, _KEPT, in_conv=True, in_gemm=True, blocked=True),
    _Row("ThresholdedRelu", Kind.ACTIVATION, _UNARY, in_gemm=True),
    # -- arithmetic ----------------------------------------------------------------------
    _Row("Abs", Kind.ARITHMETIC, _UNARY, _KEPT),
    _Row("Add", Kind.ARITHMETIC, _BROADCAST, _OF_ALL, in_conv=True, blocked=True),
    _Row("And", Kind.ARITHMETIC, _BROADCAST),
    _Row("Ceil", Kind.ARITHMETIC, _UNARY, _KEPT),
    _Row("Cos", Kind.ARITHMETIC, _UNARY, _LOST),
    _Row("CumSum", Kind.ARITHMETIC),
    _Row("Div", Kind.ARITHMETIC, _BROADCAST, _LOST),
    _Row("Equal", Kind.ARITHMETIC, _BROADCAST),
    _Row("Exp", Kind.ARITHMETIC, _UNARY, _LOST),
    _Row("Floor", Kind.ARITHMETIC, _UNARY, _KEPT),
    _Row("Greater", Kind.ARITHMETIC, _BROADCAST),
    _Row("GreaterOrEqual", Kind.ARITHMETIC, _BROADCAST),
    _Row("Less", Kind.ARITHMETIC, _BROADCAST),
    _Row("LessOrEqual", Kind.ARITHMETIC, _BROADCAST),
    _Row("Log", Kind.ARITHMETIC, _UNARY, _LOST),
    _Row("Max", Kind.ARITHMETIC, _BROADCAST, _OF_ALL),
    _Row("Mean", Kind.ARITHMETIC, _BROADCAST, _OF_ALL),
    _Row("Min", Kind.ARITHMETIC, _BROADCAST, _OF_ALL),
    _Row("Mod", Kind.ARITHMETIC, _BROADCAST),
    _Row("Mul", Kind.ARITHMETIC, _BROADCAST, _OF_ANY, in_conv=True, blocked=True),
    _Row("Neg", Kind.ARITHMETIC, _UNARY, _KEPT),
    _Row("Not", Kind.ARITHMETIC, _UNARY),
    _Row("Or", Kind.ARITHMETIC, _BROADCAST),
    _Row("Pow", Kind.ARITHMETIC, _BROADCAST),
    _Row("Reciprocal", Kind.ARITHMETIC, _UNARY, _LOST),
    _Row("Round", Kind.ARITHMETIC, _UNARY, _KEPT),
    _Row("Sign", Kind.ARITHMETIC, _UNARY, _KEPT),
    _Row("Sin", Kind.ARITHMETIC, _UNARY, _KEPT),
    _Row("Sqrt", Kind.ARITHMETIC, _UNARY, _KEPT),
    _Row("Sub", Kind.ARITHMETIC, _BROADCAST, _OF_ALL),
    _Row("Sum", Kind.ARITHMETIC, _BROADCAST, _OF_ALL, blocked=True),
    _Row("Where", Kind.ARITHMETIC, _BROADCAST),
    _Row("Xor", Kind.ARITHMETIC, _BROADCAST),
    # -- pooling, reduction, resizing ----------------------------------------------------
    _Row("ArgMax", Kind.POOLING),
    _Row("ArgMin", Kind.POOLING),
    _Row("AveragePool", Kind.POOLING, zeros=_KEPT, blocked=True),
    _Row("GlobalAveragePool", Kind.POOLING, zeros=_KEPT),
    _Row("GlobalLpPool", Kind.POOLING, zeros=_KEPT),
    _Row("GlobalMaxPool", Kind.POOLING, zeros=_KEPT),
    _Row("GridSample", Kind.POOLING),
    _Row("LpPool", Kind.POOLING, zeros=_KEPT),
    _Row("MaxPool", Kind.POOLING, zeros=_KEPT, blocked=True),
    _Row("MaxRoiPool", Kind.POOLING),
    _Row("MaxUnpool", Kind.POOLING),
    _Row("ReduceL1", Kind.POOLING, zeros=_KEPT),
    _Row("ReduceL2", Kind.POOLING, zeros=_KEPT),
    _Row("ReduceLogSum", Kind.POOLING),
    _Row("ReduceLogSumExp", Kind.POOLING),
    _Row("ReduceMax", Kind.POOLING, zeros=_KEPT),
    _Row("ReduceMean", Kind.POOLING, zeros=_KEPT),
    _Row("ReduceMin", Kind.POOLING, zeros=_KEPT),
    _Row("ReduceProd", Kind.POOLING),
    _Row("ReduceSum", Kind.POOLING, zeros=_KEPT),
    _Row("ReduceSumSquare", Kind.POOLING, zeros=_KEPT),
    _Row("Resize", Kind.POOLING),
    _Row("RoiAlign", Kind.POOLING),
    _Row("Upsample", Kind.POOLING),
    # -- moving data ---------------------------------------------------------------------
    _Row("Cast", Kind.MOVEMENT, _UNARY, _KEPT),
    _Row("Concat", Kind.MOVEMENT, zeros=_OF_ALL, blocked=True),
    _Row("ConstantOfShape", Kind.MOVEMENT),
    _Row("DepthToSpace", Kind.MOVEMENT, zeros=_KEPT),
    _Row("DequantizeLinear", Kind.MOVEMENT),
    _Row("Dropout", Kind.MOVEMENT, _UNARY, _KEPT),
    _Row("Expand", Kind.MOVEMENT, zeros=_KEPT),
    _Row("Flatten", Kind.MOVEMENT, zeros=_KEPT),
    _Row("Gather", Kind.MOVEMENT, zeros=_KEPT),
    _Row("GatherElements", Kind.MOVEMENT),
    _Row("GatherND", Kind.MOVEMENT),
    _Row("Identity", Kind.MOVEMENT, _UNARY, _KEPT),
    _Row("OneHot", Kind.MOVEMENT),
    _Row("Pad", Kind.MOVEMENT),
    _Row("QuantizeLinear", Kind.MOVEMENT),
    _Row("Range", Kind.MOVEMENT),
    _Row("Reshape", Kind.MOVEMENT, zeros=_KEPT),
    _Row("ScatterElements", Kind.MOVEMENT),
    _Row("ScatterND", Kind.MOVEMENT),
    _Row("Shape", Kind.MOVEMENT),
    _Row("Size", Kind.MOVEMENT),
    _Row("Slice", Kind.MOVEMENT, zeros=_KEPT),
    _Row("SpaceToDepth", Kind.MOVEMENT, zeros=_KEPT),
    _Row("Split", Kind.MOVEMENT, zeros=_KEPT),
    _Row("Squeeze", Kind.MOVEMENT, zeros=_KEPT),
    _Row("Tile", Kind.MOVEMENT, zeros=_KEPT),
    _Row("TopK", Kind.MOVEMENT),
    _Row("Transpose", Kind.MOVEMENT, zeros=_KEPT),
    _Row("Unsqueeze", Kind.MOVEMENT, zeros=_KEPT),
)


def qualified(domain: str, op_type: str) -> str:
    """What an operator is called here: alone in the default domain, else behind its own."""
    return f"{domain}.{op_type}" if domain else op_type


#: By operator.
OPS: Mapping[str, OpTraits] = {row.op_type: row for row in _ROWS}


def ops_with(trait: Callable[[OpTraits], bool]) -> tuple[str, ...]:
    """The operators whose row has a trait, say `lambda op: op.blocked`, in the table's order."""
    return tuple(row.op_type for row in _ROWS if trait(row))


#: Work on each number of their first input by itself.
UNARY = ops_with(lambda op: op.elementwise is Elementwise.UNARY)
#: Combine numbers at the same place of inputs that are broadcast to each other.
BROADCAST = ops_with(lambda op: op.elementwise is Elementwise.BROADCAST)
#: Linear maps of their first input with weights.
LINEAR = ops_with(lambda op: op.linear)
