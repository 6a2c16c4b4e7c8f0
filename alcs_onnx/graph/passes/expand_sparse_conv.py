"""Our nodes of a file written earlier become Conv, Add and activation, and MaxPool, again.

Precondition: stored weights and bias are constant and valid; quantized weights become float32.
So a written file can be inspected, compiled or optimized again like the model it came from:

    clip(max(v, slope * v), low, high) -> LeakyRelu (slope != 1), then Relu or Clip;
    a gate of v -> the product of v and its HardSigmoid or Sigmoid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from alcs_onnx.errors import AlcsError, ModelError
from alcs_onnx.graph.editor import GraphEditor
from alcs_onnx.graph.functions import POOL_ATTRIBUTES, SPARSE_CONVS
from alcs_onnx.graph.model import Array, AttributeValue, Node
from alcs_onnx.graph.weight_bodies import PACKED, PACKING, PLAIN, StoredForm
from alcs_onnx.packed_format import PackedWeights, unpack_quantized
from alcs_onnx.sparse_format import OP_DOMAIN, OP_MAX_POOL, SparseWeights, unpack
from alcs_onnx.types import Activation, Gate

#: Operator, attributes and further inputs of a node that reads the result of the one before.
_Step = tuple[str, dict[str, AttributeValue], tuple[str, ...]]
#: As a further input: what the node before read.
_READ_BEFORE = "<read before>"

_FACTORS: dict[Gate, _Step] = {
    Gate.HARD_SWISH: ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}, ()),
    Gate.SILU: ("Sigmoid", {}, ()),
}


def _copied(node: Node, names: Iterable[str]) -> dict[str, AttributeValue]:
    for name in names:
        if name not in node.attributes:
            raise ModelError(f"node '{node.name}' ({node.op_type}): attribute '{name}' is missing")
    return {name: node.attributes[name] for name in names}


@dataclass(frozen=True)
class _Geometry:
    """What all stored forms of a weight have in common."""

    out_channels: int
    group: int
    columns: int
    simd_group: int


def _plain(node: Node, arrays: Sequence[Array], geometry: _Geometry) -> SparseWeights:
    values, positions = arrays
    return SparseWeights(values, positions, **vars(geometry))


def _packed(node: Node, arrays: Sequence[Array], geometry: _Geometry) -> SparseWeights:
    codes, gaps, scales = arrays
    numbers = {name: node.int_attribute(name, -1) for name in PACKING}
    return unpack_quantized(PackedWeights(codes, gaps, scales, **numbers, **vars(geometry)))


#: How each stored form is read.
_READERS = {PLAIN: _plain, PACKED: _packed}


def _weight(editor: GraphEditor, node: Node, form: StoredForm) -> str:
    arrays = [editor.constant(name) for name in node.inputs[1 : 1 + len(form.inputs)]]
    constants = [array for array in arrays if array is not None]
    if len(constants) < len(form.inputs):
        raise ModelError(f"node '{node.name}' ({node.op_type}): its weights are not constant")
    kernel = node.ints_attribute("kernel_shape")
    group = node.int_attribute("group", 1)
    out_channels = node.int_attribute("out_channels", 0)
    shape = (out_channels, node.int_attribute("in_channels", 0) // max(group, 1), *kernel)
    columns, simd_group = int(np.prod(shape[1:])), node.int_attribute("simd_group", 0)
    geometry = _Geometry(out_channels, group, columns, simd_group)
    try:
        weight = unpack(_READERS[form](node, constants, geometry), shape)
    except AlcsError as error:
        raise ModelError(f"node '{node.name}' ({node.op_type}): {error}") from error
    return editor.add_initializer(f"{node.name}.weight", weight)


def _activation(node: Node) -> Activation:
    plain = Activation(
        slope=node.float_attribute("slope", Activation.slope),
        low=node.float_attribute("low", Activation.low),
        high=node.float_attribute("high", Activation.high),
    )
    gate = node.int_attribute("gate", 0)  # absent from files written before there were gates
    if gate not in set(Gate) or (gate != Gate.NONE and not plain.is_identity):
        raise ModelError(
            f"node '{node.name}' ({node.op_type}): gate {gate} is unknown or not alone"
        )
    return replace(plain, gate=Gate(gate))


def _activation_steps(editor: GraphEditor, node: Node, activation: Activation) -> list[_Step]:
    found: list[_Step] = []
    if activation.gate in _FACTORS:
        found += [_FACTORS[activation.gate], ("Mul", {}, (_READ_BEFORE,))]
    if activation.slope != 1:
        found.append(("LeakyRelu", {"alpha": activation.slope}, ()))
    none = Activation()
    if activation.low == 0 and activation.high == none.high:
        found.append(("Relu", {}, ()))
    elif (activation.low, activation.high) != (none.low, none.high):
        low, high = (
            editor.add_initializer(f"{node.name}.{name}", np.asarray(value, np.float32))
            for name, value in (("low", activation.low), ("high", activation.high))
        )
        found.append(("Clip", {}, (low, high)))
    return found


def run(editor: GraphEditor, note: Callable[[str], None]) -> int:
    """Expand such nodes; returns how many."""
    changes = 0
    for node in editor.nodes:
        if node.domain != OP_DOMAIN:
            continue
        changes += 1
        if node.op_type == OP_MAX_POOL:
            pool = _copied(node, POOL_ATTRIBUTES)
            editor.replace_node(Node(node.name, "MaxPool", node.inputs, node.outputs, pool))
            continue
        op = SPARSE_CONVS.get(node.op_type)
        if op is None:
            raise ModelError(f"node '{node.name}': {OP_DOMAIN} has no operator '{node.op_type}'")
        weight = _weight(editor, node, op.form)
        bias = 1 + len(op.form.inputs)
        conv_attributes = ("dilations", "group", "kernel_shape", "pads", "strides")
        chain: list[_Step] = [
            (
                "Conv",
                _copied(node, conv_attributes),
                (weight, node.inputs[bias]),
            )
        ]
        if op.residual:
            chain.append(("Add", {}, (node.inputs[bias + 1],)))
        chain += _activation_steps(editor, node, _activation(node))
        editor.remove_nodes([node.name])
        tensor = before = node.inputs[0]
        for index, (op_type, attributes, inputs) in enumerate(chain):
            name = node.name if op_type == "Conv" else f"{node.name}.{op_type.lower()}"
            last = index == len(chain) - 1
            output = node.outputs[0] if last else editor.unique_name(f"{name}.out")
            inputs = tuple(before if i == _READ_BEFORE else i for i in inputs)
            editor.insert_node(Node(name, op_type, (tensor, *inputs), (output,), attributes))
            before, tensor = tensor, output
    return changes
