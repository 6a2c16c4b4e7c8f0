"""Reading one of our convolutions: its weights, whatever form they are stored in, and the rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod

from alcs_onnx.errors import AlcsError, ModelError
from alcs_onnx.graph.activations import gate_numbered
from alcs_onnx.graph.functions import SPARSE_CONVS
from alcs_onnx.graph.model import Array, Node
from alcs_onnx.graph.weight_bodies import PACKED, PACKING, PLAIN
from alcs_onnx.packed_format import PackedWeights, unpack_quantized
from alcs_onnx.sparse_format import SparseWeights, unpack
from alcs_onnx.types import Activation, FloatArray, Shape


@dataclass(frozen=True)
class _Geometry:
    """What all stored forms of a weight have in common."""

    out_channels: int
    group: int
    columns: int
    simd_group: int


def _plain(node: Node, arrays: list[Array], geometry: _Geometry) -> SparseWeights:
    values, positions = arrays
    return SparseWeights(values, positions, **vars(geometry))


def _packed(node: Node, arrays: list[Array], geometry: _Geometry) -> SparseWeights:
    codes, gaps, scales = arrays
    numbers = {name: node.int_attribute(name, -1) for name in PACKING}
    return unpack_quantized(PackedWeights(codes, gaps, scales, **numbers, **vars(geometry)))


#: How each stored form is read.
_READERS = {PLAIN: _plain, PACKED: _packed}


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
    arrays = [constant(name) for name in weight_inputs(node)]
    constants = [array for array in arrays if array is not None]
    form = SPARSE_CONVS[node.op_type].form
    if len(constants) < len(form.inputs):
        raise ModelError(f"node '{node.name}' ({node.op_type}): its weights are not constant")
    shape = weight_shape(node)
    geometry = _Geometry(
        out_channels=shape[0],
        group=node.int_attribute("group", 1),
        columns=prod(shape[1:]),
        simd_group=node.int_attribute("simd_group", 0),
    )
    try:
        return _READERS[form](node, constants, geometry)
    except AlcsError as error:
        raise ModelError(f"node '{node.name}' ({node.op_type}): {error}") from error


def read_dense_weight(node: Node, constant: Callable[[str], Array | None]) -> FloatArray:
    """The dense weight [M, C/group, *kernel] that `node` stores; raises as above."""
    sparse = read_sparse_weights(node, constant)
    try:
        return unpack(sparse, weight_shape(node))
    except AlcsError as error:
        raise ModelError(f"node '{node.name}' ({node.op_type}): {error}") from error


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
