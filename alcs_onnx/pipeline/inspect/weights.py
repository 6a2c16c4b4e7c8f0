"""The weights of a file's layers, in whatever form the file has them.

Every layer is seen as a convolution, [M, C/group, *kernel], so that all structures of sparsity
apply: a fully connected one has no kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from alcs_onnx.errors import ModelError
from alcs_onnx.graph import Model, Node
from alcs_onnx.graph.functions import SPARSE_CONVS
from alcs_onnx.graph.macs import MACS, MacRule
from alcs_onnx.graph.model import Array
from alcs_onnx.graph.sparse_conv import read_dense_weight, read_sparse_weights, weight_inputs
from alcs_onnx.sparse_format import OP_DOMAIN
from alcs_onnx.types import ConvLayer, Shape

#: Values that are looked at at once, so that mapped weights do not fill the memory.
_CHUNK = 1 << 24


@dataclass(frozen=True, eq=False)
class FileWeight:
    """The weight of one layer.

    `array` is as the file has it, or the dense weight of one of our operators; `arranged` makes
    [M, C/group, *kernel] of it. `zero` is the value that stands for 0, of a shape that broadcasts
    to that of `array`; None for 0 itself. `simd_group` and `stored`
    (the share of its groups that are stored) are those of our operators, 0 and None elsewhere.
    `bits` are those of a stored weight, `stored_bytes` what weights and indices take in the file.
    """

    node: Node
    array: Array
    arranged: Callable[[Array], Array]
    group: int
    sources: tuple[str, ...]
    bits: int
    stored_bytes: int
    zero: Array | None = None
    simd_group: int = 0
    stored: float | None = None

    @cached_property
    def nonzero(self) -> int:
        """Weights that are not zero."""
        array = self.array
        zero = np.broadcast_to(0 if self.zero is None else self.zero, array.shape)
        rows = max(1, _CHUNK // max(1, prod(array.shape[1:])))
        starts = range(0, len(array), rows)
        return sum(
            int(np.count_nonzero(array[at : at + rows] != zero[at : at + rows])) for at in starts
        )

    def kept(self) -> Array:
        """Which weights are not zero, bool [M, C/group, *kernel]."""
        zero = 0 if self.zero is None else self.zero
        return self.arranged(np.asarray(self.array != zero))

    def layer(self, shape: tuple[int, ...]) -> ConvLayer:
        """The geometry that structures need, of a weight of that shape; sizes of images are not."""
        spatial = len(shape) - 2
        return ConvLayer(
            name=self.node.name,
            weight=self.sources[0],
            bias=None,
            out_channels=shape[0],
            in_channels=shape[1] * self.group,
            group=self.group,
            kernel_shape=shape[2:],
            strides=(1,) * spatial,
            pads=(0,) * 2 * spatial,
            dilations=(1,) * spatial,
            input_shape=(),
            output_shape=(),
        )


def find_weights(model: Model) -> dict[str, FileWeight]:
    """The constant weights of the layers of `model`, by node."""
    found = {}
    for node in model.nodes:
        if node.domain == OP_DOMAIN:
            weight = _ours(model, node)
        else:
            rule = MACS.get((node.domain, node.op_type))
            weight = None if rule is None else _plain(model, node, rule)
        if weight is not None:
            found[node.name] = weight
    return found


def _ours(model: Model, node: Node) -> FileWeight | None:
    """None for other operators, and for weights that break the rules (`load_model` says how)."""
    if node.op_type not in SPARSE_CONVS:
        return None
    try:
        sparse = read_sparse_weights(node, model.initializers.get)
        array = read_dense_weight(node, model.initializers.get)
    except ModelError:
        return None
    sources = weight_inputs(node)
    return FileWeight(
        node=node,
        array=array,
        arranged=lambda array: array,
        group=sparse.group,
        sources=sources,
        bits=node.int_attribute("bits", 8 * model.initializers[sources[0]].itemsize),
        stored_bytes=sum(model.initializers[name].nbytes for name in sources),
        simd_group=sparse.simd_group,
        stored=sparse.density,
    )


def _plain(model: Model, node: Node, rule: MacRule) -> FileWeight | None:
    if rule.weight is None:
        return None
    arrange = _ARRANGE[node.op_type]
    found = _source(model, node.input(rule.weight))
    if found is None and node.is_op("MatMul"):
        found, arrange = _source(model, node.input(0)), _as_it_is
    if found is None:
        return None
    source, zero = found
    array = model.initializers[source]
    group = node.int_attribute("group", 1)
    if array.ndim < 2 or array.size == 0 or group < 1 or array.shape[0] % group:
        return None
    if array.ndim > 2 and "Conv" not in node.op_type:
        return None  # a matrix for each sample
    own = "" if rule.zero_point is None else node.input(rule.zero_point)
    if own:
        if own not in model.initializers:
            return None
        # A convolution has one for each filter, a product one for each column.
        axis = 0 if "Conv" in node.op_type else array.ndim - 1
        zero = _aligned(model.initializers[own], array.shape, axis)
        if zero is None:
            return None
    bits = _bits(array.dtype)
    return FileWeight(
        node=node,
        array=array,
        arranged=lambda array: arrange(array, node),
        group=group,
        sources=(source,),
        bits=bits,
        stored_bytes=-(-array.size * bits // 8),
        zero=zero,
    )


#: Keep the number of values that are zero: what a stored weight may go through.
_TRANSPARENT = ("Cast", "DequantizeLinear", "Identity", "Mul")


def _source(model: Model, tensor: str) -> tuple[str, Array | None] | None:
    """The initializer that a weight comes from, and what is zero in it; None if computed."""
    dequantize: Node | None = None
    while tensor not in model.initializers:
        node = model.producer(tensor)
        if node is None or not node.is_op(*_TRANSPARENT):
            return None
        if any(name and name not in model.initializers for name in node.inputs[1:]):
            return None
        if node.is_op("DequantizeLinear") and node.input(2):
            dequantize = node
        tensor = node.inputs[0]
    if dequantize is None:
        return tensor, None
    zero = _aligned(
        model.initializers[dequantize.inputs[2]],
        model.initializers[tensor].shape,
        dequantize.int_attribute("axis", 1),
        dequantize.int_attribute("block_size", 0),
    )
    return None if zero is None else (tensor, zero)


def _aligned(zero: Array, shape: Shape, axis: int, block: int = 0) -> Array | None:
    """A zero point in a shape that broadcasts to the `shape` of its weight; None where none does.

    One value counts for all weights, a list for those along `axis`, and with `block` each value
    for that many weights along it.
    """
    if zero.size == 1:
        return zero.reshape(())
    if not -len(shape) <= axis < len(shape):
        return None
    axis %= len(shape)
    if block > 0 and zero.ndim == len(shape):
        zero = np.repeat(zero, block, axis)[(slice(None),) * axis + (slice(shape[axis]),)]
    elif zero.ndim == 1:
        zero = zero.reshape([-1 if a == axis else 1 for a in range(len(shape))])
    fits = zero.ndim <= len(shape) and all(
        size in (1, whole) for size, whole in zip(zero.shape[::-1], shape[::-1], strict=False)
    )
    return zero if fits else None


def _bits(dtype: np.dtype[Any]) -> int:
    """Bits of an element in a file, where small integers lie two to a byte."""
    return 4 if dtype.name in ("int4", "uint4") else 8 * dtype.itemsize


def _as_it_is(array: Array, node: Node) -> Array:
    return array


def _transposed(array: Array, node: Node) -> Array:
    return array.T


def _gemm(array: Array, node: Node) -> Array:
    return array if node.int_attribute("transB", 0) else array.T


def _conv_transpose(array: Array, node: Node) -> Array:
    """[C, M/group, *kernel]: both channels trade places within each conv group."""
    group = node.int_attribute("group", 1)
    split = array.reshape(group, array.shape[0] // group, array.shape[1], -1)
    return split.transpose(0, 2, 1, 3).reshape(
        group * array.shape[1], array.shape[0] // group, *array.shape[2:]
    )


#: Operator -> its weight as [M, C/group, *kernel].
_ARRANGE: Mapping[str, Callable[[Array, Node], Array]] = {
    **dict.fromkeys(("Conv", "ConvInteger", "DeformConv", "FusedConv", "QLinearConv"), _as_it_is),
    "ConvTranspose": _conv_transpose,
    "Gemm": _gemm,
    **dict.fromkeys(("MatMul", "MatMulInteger", "QLinearMatMul"), _transposed),
}


def is_parameter(array: Array) -> bool:
    """Whether the values count as parameters: truth values, texts and int64 do not.

    Sizes, axes and most indices are int64. Other integers may be quantized weights and biases.
    """
    return array.dtype.kind not in "bOSU" and array.dtype != np.int64


def weight_count(weight: FileWeight) -> int:
    """Weights of the dense layer."""
    return prod(weight.array.shape)
