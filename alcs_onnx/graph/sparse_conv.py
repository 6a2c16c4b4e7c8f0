"""Reading one of our convolutions: its weights, whatever form they are stored in, and the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from alcs_onnx.errors import AlcsError, ModelError
from alcs_onnx.graph.activations import gate_numbered
from alcs_onnx.graph.functions import SPARSE_CONVS
from alcs_onnx.graph.integer_bodies import INTEGERS
from alcs_onnx.graph.model import Array, Node
from alcs_onnx.graph.weight_bodies import PACKED, PACKING, PLAIN
from alcs_onnx.integer_format import (
    IntegerWeights,
    WordGeometry,
    unpack_integers,
    validate_integers,
)
from alcs_onnx.packed_format import PackedWeights, unpack_quantized
from alcs_onnx.sparse_format import SparseWeights, pack, unpack, weight_mask_to_group_mask
from alcs_onnx.types import Activation, FloatArray, Shape


@dataclass(frozen=True)
class _Geometry:
    """What all stored forms of a weight have in common."""

    out_channels: int
    group: int
    columns: int
    simd_group: int


def read_integers(
    node: Node, constant: Callable[[str], Array | None]
) -> tuple[IntegerWeights, FloatArray]:
    """The blocks that `node`, one of ours on integers, stores, and `w_scale` [M].

    Raises as `read_sparse_weights`.
    """
    arrays = _constants(node, constant)
    with _named(node):
        return _integers(node, arrays)


def _integers(node: Node, arrays: list[Array]) -> tuple[IntegerWeights, FloatArray]:
    values, positions, scales = arrays
    shape = weight_shape(node)
    group, simd_group = node.int_attribute("group", 1), node.int_attribute("simd_group", 0)
    geometry = WordGeometry(shape[0], shape[1] * group, group, shape[2:], simd_group)
    weights = IntegerWeights(geometry, values, positions)
    validate_integers(weights)
    if scales.shape not in ((1,), (shape[0],)) or not (np.isfinite(scales) & (scales >= 0)).all():
        raise AlcsError(
            f"integer weights: w_scale needs 1 or {shape[0]} finite scales, none negative"
        )
    return weights, np.broadcast_to(scales, shape[:1])


def _of_integers(node: Node, arrays: list[Array], geometry: _Geometry) -> SparseWeights:
    """What they stand for, column by column: each word is up to four of them."""
    weights, scales = _integers(node, arrays)
    levels, stored = unpack_integers(weights)
    g = 1 if weights.geometry.depthwise else weights.geometry.simd_group
    scaled = levels * scales.reshape(-1, *[1] * (levels.ndim - 1))
    keep = weight_mask_to_group_mask(stored, geometry.group, g)
    return pack(scaled.astype(np.float32), geometry.group, g, keep)


def _plain(node: Node, arrays: list[Array], geometry: _Geometry) -> SparseWeights:
    values, positions = arrays
    return SparseWeights(values, positions, **vars(geometry))


def _packed(node: Node, arrays: list[Array], geometry: _Geometry) -> SparseWeights:
    codes, gaps, scales = arrays
    numbers = {name: node.int_attribute(name, -1) for name in PACKING}
    return unpack_quantized(PackedWeights(codes, gaps, scales, **numbers, **vars(geometry)))


#: How each stored form is read.
_READERS = {PLAIN: _plain, PACKED: _packed, INTEGERS: _of_integers}


def weight_shape(node: Node) -> Shape:
    """[M, C/group, *kernel] of the dense layer."""
    channels = node.int_attribute("in_channels", 0) // max(node.int_attribute("group", 1), 1)
    return (node.int_attribute("out_channels", 0), channels, *node.ints_attribute("kernel_shape"))


def weight_inputs(node: Node) -> tuple[str, ...]:
    """The inputs that hold the weights, between X and the bias."""
    return node.inputs[1 : 1 + len(SPARSE_CONVS[node.op_type].form.inputs)]


def read_sparse_weights(node: Node, constant: Callable[[str], Array | None]) -> SparseWeights:
    """What `node`, one of `SPARSE_CONVS`, stores; `constant` gives the value of an input.

    Raises `ModelError` where it is not constant or breaks the rules of its form.
    """
    arrays = _constants(node, constant)
    shape = weight_shape(node)
    geometry = _Geometry(
        out_channels=shape[0],
        group=node.int_attribute("group", 1),
        columns=prod(shape[1:]),
        simd_group=node.int_attribute("simd_group", 0),
    )
    with _named(node):
        return _READERS[SPARSE_CONVS[node.op_type].form](node, arrays, geometry)


def _constants(node: Node, constant: Callable[[str], Array | None]) -> list[Array]:
    arrays = [constant(name) for name in weight_inputs(node)]
    constants = [array for array in arrays if array is not None]
    if len(constants) < len(SPARSE_CONVS[node.op_type].form.inputs):
        raise ModelError(f"node '{node.name}' ({node.op_type}): its weights are not constant")
    return constants


@contextmanager
def _named(node: Node) -> Iterator[None]:
    """Errors become those of the node."""
    try:
        yield
    except AlcsError as error:
        raise ModelError(f"node '{node.name}' ({node.op_type}): {error}") from error


def read_dense_weight(node: Node, constant: Callable[[str], Array | None]) -> FloatArray:
    """The dense weight [M, C/group, *kernel] that `node` stores; raises as above."""
    sparse = read_sparse_weights(node, constant)
    with _named(node):
        return unpack(sparse, weight_shape(node))


def read_activation(node: Node) -> Activation:
    """The activation that one of our convolutions does; `ModelError` for an unknown gate."""
    plain = Activation(
        slope=node.float_attribute("slope", Activation.slope),
        low=node.float_attribute("low", Activation.low),
        high=node.float_attribute("high", Activation.high),
    )
    gate = node.int_attribute("gate", 0)  # absent from files written before there were gates
    if gate != 0 and (gate_numbered(gate) is None or not plain.is_identity):
        raise ModelError(
            f"node '{node.name}' ({node.op_type}): gate {gate} is unknown or not alone"
        )
    return replace(plain, gate=gate)
