"""Physical removal of channels: smaller weights, and nodes that count what is left.

The result has the operators of the model it is made of, and is faster in any runtime.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from alcs_onnx.coupling import RULES, Changes, Coupling
from alcs_onnx.errors import AlcsError
from alcs_onnx.graph import GraphEditor, Model, Node
from alcs_onnx.graph.model import Array
from alcs_onnx.types import BoolArray, ChannelMask, Shape


@dataclass(frozen=True, eq=False)
class _Kept:
    """What is left of every tensor; see `alcs_onnx.coupling.Kept`."""

    model: Model
    coupling: Coupling
    classes: BoolArray

    def along(self, tensor: str) -> tuple[int, BoolArray] | None:
        """Axis of an activation and which of its positions stay; None when all do."""
        found = self.coupling.activations.get(tensor)
        if found is None:
            return None
        mask = self.classes[found[1]]
        return None if mask.all() else (found[0], mask)

    def axis(self, constant: str, axis: int) -> BoolArray | None:
        """Which positions of a constant stay along `axis`; None when all do."""
        found = self.coupling.constants.get(constant, {}).get(axis)
        if found is None:
            return None
        mask = self.classes[found]
        return None if mask.all() else mask

    def shape(self, tensor: str) -> Shape:
        """The shape of an activation afterwards."""
        before = self.model.shapes[tensor]
        found = self.along(tensor)
        if found is None:
            return before
        axis, mask = found
        return (*before[:axis], int(mask.sum()), *before[axis + 1 :])


def shrink(model: Model, coupling: Coupling, keep: Mapping[str, ChannelMask]) -> Model:
    """The model without the channels that `keep` gives up; shapes are inferred again.

    `keep[group]` is [channels] of that group, True where one stays; groups not named stay
    whole. Raises `AlcsError` for masks that do not fit, and for a coupling of another model.
    """
    kept = _kept(model, coupling, keep)
    editor = GraphEditor(model)
    for name, axes in coupling.constants.items():
        editor.set_initializer(name, _taken(kept, name, axes, model.initializers[name]))
    for node in model.nodes:
        rule = RULES.get(node.op_type) if node.domain == "" else None
        if rule is not None and rule.resize is not None:
            _apply(editor, node, rule.resize(node, kept))
    return editor.build(infer_shapes=True)


def masked(model: Model, coupling: Coupling, keep: Mapping[str, ChannelMask]) -> Model:
    """The model at full size whose layers ignore the channels that `keep` gives up.

    Every weight that reads a removed channel is zero there: what `shrink` makes computes the
    same outputs. Raises as `shrink` does.
    """
    _kept(model, coupling, keep)
    zeroed: dict[str, Array] = {}
    for slot, positions in coupling.removed(keep):
        if (slot.tensor, slot.axis) in coupling.read:
            if slot.tensor not in zeroed:
                zeroed[slot.tensor] = model.initializers[slot.tensor].copy()
            zero = np.moveaxis(_zero(model, slot.tensor), slot.axis, 0)
            np.moveaxis(zeroed[slot.tensor], slot.axis, 0)[positions] = zero[positions]
    return model.with_initializers(zeroed)


def _zero(model: Model, tensor: str) -> Array:
    """What stands for zero in a constant, in its shape: the zero points of quantised weights."""
    array = model.initializers[tensor]
    for node in model.consumers(tensor):
        if node.is_op("DequantizeLinear") and node.inputs[0] == tensor and node.input(2):
            zero = model.initializers[node.inputs[2]]
            if zero.ndim == 1:
                axis = node.int_attribute("axis", 1) % array.ndim
                zero = zero.reshape([-1 if a == axis else 1 for a in range(array.ndim)])
            return np.broadcast_to(zero, array.shape)
    return np.broadcast_to(np.zeros((), array.dtype), array.shape)


def _kept(model: Model, coupling: Coupling, keep: Mapping[str, ChannelMask]) -> _Kept:
    if coupling.topology_digest != model.topology_digest:
        raise AlcsError("the channel groups are those of another model: analyse this one")
    return _Kept(model, coupling, coupling.kept_classes(keep))


def _taken(kept: _Kept, name: str, axes: Mapping[int, Any], array: Array) -> Array:
    for axis in axes:
        mask = kept.axis(name, axis)
        if mask is not None:
            array = np.compress(mask, array, axis=axis)
    return array


def _apply(editor: GraphEditor, node: Node, changes: Changes) -> None:
    if changes == Changes():
        return
    attributes = {k: v for k, v in node.attributes.items() if k not in changes.drop_attributes}
    inputs = list(node.inputs)
    for index, array in changes.inputs.items():
        inputs += [""] * (index + 1 - len(inputs))
        inputs[index] = editor.add_initializer(f"{node.name}.input{index}", array)
    for index in changes.drop_inputs:
        inputs[index] = ""
    while inputs and not inputs[-1]:
        inputs.pop()
    editor.replace_node(
        replace(node, inputs=tuple(inputs), attributes={**attributes, **changes.attributes})
    )
