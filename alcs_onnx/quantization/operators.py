"""What ONNX Runtime computes in int8 on CPUs, and which nodes of a file that can be.

Of the operators that its quantizer knows these are the ones for which its CPU provider has integer
kernels; the others it would dequantize before and quantize after, at a loss of time and accuracy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import onnx
from onnx import helper, numpy_helper

from alcs_onnx.graph.model import Array
from alcs_onnx.graph.proto import subgraphs

#: With weights.
LAYERS = ("Conv", "Gemm", "MatMul")
#: Vanish into the range of the convolution in front of them.
CLAMPS = ("Relu", "Clip")
#: Work on values.
POINTWISE = ("Add", "Mul", "LeakyRelu", "Sigmoid", "GlobalAveragePool", "Concat", "Where")
#: Hand values on, with the scale that they have; in int8 only where these are in int8 already.
MOVING = (
    "AveragePool",
    "Flatten",
    "Gather",
    "MaxPool",
    "Reshape",
    "Resize",
    "Slice",
    "Split",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
)
INT8_OPS = (*LAYERS, *CLAMPS, *POINTWISE, *MOVING)


class Unfit:
    """Why nodes of a file cannot be int8. `has_range` says whether a tensor was measured."""

    def __init__(
        self,
        graph: onnx.GraphProto,
        constants: Mapping[str, Array],
        has_range: Callable[[str], bool],
    ) -> None:
        self._constants, self._has_range = constants, has_range
        self._producers = {name: node for node in graph.node for name in node.output}

    def reason(self, node: onnx.NodeProto) -> str:
        """Why `node` stays float; empty if it can be int8."""
        if node.domain or any(subgraphs(attribute) for attribute in node.attribute):
            return "it is no operator of the standard"
        if node.op_type not in INT8_OPS:
            return f"ONNX Runtime has no int8 kernel for {node.op_type} on CPUs"
        reason = _SPECIAL[node.op_type](self, node) if node.op_type in _SPECIAL else ""
        return reason or self._of_tensors(node)

    def _of_tensors(self, node: onnx.NodeProto) -> str:
        if node.op_type in MOVING and node.input[0] in self._constants:
            return "what it hands on is constant"
        index = 1 if node.op_type == "Where" else 0
        count = len(node.input) if node.op_type in ("Concat", "MatMul") else index + 1
        count = max(count, 2) if node.op_type in ("Add", "Mul") else count
        data = node.input[index : count + (node.op_type == "Where")]
        for name in (*(n for n in data if n not in self._constants), *filter(None, node.output)):
            if not self._has_range(name):
                return f"tensor '{name}' is not float32, or not finite on the pictures"
        for name in data:
            if name in self._constants and not _plain(self._constants[name]):
                return f"constant '{name}' is not float32, or not finite"
        return ""

    def weights(self, node: onnx.NodeProto) -> str:
        """What is wrong with the weight or the bias of a layer."""
        weight = self._constants.get(node.input[1])
        if weight is None:
            maker = self._producers.get(node.input[1])
            if maker is not None and maker.op_type == "DequantizeLinear":
                return "its weights are quantized already"
            return "" if node.op_type == "MatMul" else "its weights are computed at run time"
        if not _plain(weight):
            return (
                f"its weights are {weight.dtype.name}"
                if weight.dtype != np.float32
                else ("its weights hold NaN or infinite values")
            )
        if len(node.input) > 2 and node.input[2] and node.input[2] not in self._constants:
            return "its bias is computed at run time"
        bias = self._constants.get(node.input[2]) if len(node.input) > 2 else None
        if bias is not None and (not _plain(bias) or bias.ndim != 1):
            return "its bias is no vector of finite float32 values"
        return ""

    def gemm(self, node: onnx.NodeProto) -> str:
        """The runtime's integer kernel multiplies by nothing, and has the data as it comes."""
        values = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        if values.get("alpha", 1.0) != 1 or values.get("transA", 0):
            return "ONNX Runtime's int8 Gemm has no alpha and no transA"
        return self.weights(node)

    def clip(self, node: onnx.NodeProto) -> str:
        """A range always has 0 in it: a Clip that has not cannot become one."""
        bounds = [self._constants.get(name) if name else None for name in node.input[1:3]]
        if any(name and bound is None for name, bound in zip(node.input[1:3], bounds, strict=True)):
            return "its bounds are computed at run time"
        bounds += [None] * (2 - len(bounds))
        low, high = bounds
        if (low is not None and not low <= 0) or (high is not None and not high >= 0):
            return "its bounds leave out 0, which a quantized range never does"
        return ""

    def resize(self, node: onnx.NodeProto) -> str:
        """Interpolation makes new values."""
        mode = next((a.s for a in node.attribute if a.name == "mode"), b"nearest")
        return "" if mode == b"nearest" else "ONNX Runtime interpolates in float"


_SPECIAL: Mapping[str, Callable[[Unfit, onnx.NodeProto], str]] = {
    "Conv": Unfit.weights,
    "MatMul": Unfit.weights,
    "Gemm": Unfit.gemm,
    "Clip": Unfit.clip,
    "Resize": Unfit.resize,
}


def _plain(array: Array) -> bool:
    return array.dtype == np.float32 and bool(np.isfinite(array).all())


def constant_nodes(graph: onnx.GraphProto) -> dict[str, Array]:
    """The values of Constant nodes that hold a tensor."""
    return {
        node.output[0]: numpy_helper.to_array(attribute.t)
        for node in graph.node
        if node.op_type == "Constant" and not node.domain
        for attribute in node.attribute
        if attribute.name == "value"
    }
