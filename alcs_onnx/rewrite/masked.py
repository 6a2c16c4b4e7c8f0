"""The model at full size that ignores channels: what a smaller model has to agree with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from alcs_onnx.coupling import Coupling
from alcs_onnx.graph import GraphEditor, Model, Node, Tensor
from alcs_onnx.graph.model import Array
from alcs_onnx.rewrite.kept import KeptChannels
from alcs_onnx.types import BoolArray, ChannelMask, Shape


def masked(model: Model, coupling: Coupling, keep: Mapping[str, ChannelMask]) -> Model:
    """The model at full size whose layers ignore the channels that `keep` gives up.

    Every weight that reads a removed channel is zero there. A node that takes one value of
    several channels, a mean or a norm, is handed those that stay by a Gather; where its output
    has channels, a second one puts them back to their places. What `shrink` makes computes the
    same outputs. Raises as `shrink` does.
    """
    kept = KeptChannels.of(model, coupling, keep)
    zeroed: dict[str, Array] = {}
    for slot, positions in coupling.removed(keep):
        if (slot.tensor, slot.axis) in coupling.read:
            if slot.tensor not in zeroed:
                zeroed[slot.tensor] = model.initializers[slot.tensor].copy()
            zero = np.moveaxis(_zero(model, slot.tensor), slot.axis, 0)
            np.moveaxis(zeroed[slot.tensor], slot.axis, 0)[positions] = zero[positions]
    ignoring = model.with_initializers(zeroed)
    mixing = [node for node in model.nodes if node.name in coupling.mixing]
    mixing = [node for node in mixing if any(kept.along(name) for name in node.inputs)]
    if not mixing:
        return ignoring
    editor = GraphEditor(ignoring)
    for node in mixing:
        _hand_over_kept(editor, kept, node)
    return editor.build()


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


def _hand_over_kept(editor: GraphEditor, kept: KeptChannels, node: Node) -> None:
    """Let `node` see the channels that stay, and its readers a tensor of full size."""
    changed = editor.node(node.name)
    for index, name in enumerate(node.inputs):
        for axis, mask in _lost(kept, name, node).items():
            given, (mask, tail) = changed.inputs[index], _channels(kept.model, name, axis, mask)
            taken = editor.add_tensor(f"{node.name}.kept{index}.y")
            move = _Move(axis, np.flatnonzero(mask), mask.size, tail)
            _gather(editor, f"{node.name}.kept{index}", (given, taken), move)
            changed.inputs[index] = taken
    lost, output = kept.along(node.outputs[0]), changed.outputs[0]
    if lost is not None:
        axis = lost[0]
        mask, tail = _channels(kept.model, node.outputs[0], *lost)
        # A removed channel takes the place of any other: nobody looks at it.
        places = np.where(mask, np.cumsum(mask) - 1, 0)
        changed.outputs[0] = editor.add_tensor(f"{output.name}.kept")
        move = _Move(axis, places, int(mask.sum()), tail)
        _gather(editor, f"{node.name}.placed", (changed.outputs[0], output), move)


@dataclass(frozen=True, eq=False)
class _Move:
    """Which of `count` channels along `axis` to take; `tail` is None where each has one place.

    Else each has several, one after the other, as many as the size of an input leaves open, and
    `tail` are the sizes of the axes behind.
    """

    axis: int
    places: Array
    count: int
    tail: Shape | None


def _channels(
    model: Model, tensor: str, axis: int, mask: BoolArray
) -> tuple[BoolArray, Shape | None]:
    """The mask of an axis of `tensor`, and None; or that of its channels, and `_Move.tail`."""
    if axis not in model.varying_axes(tensor):
        return mask, None
    tail = model.shapes[tensor][axis + 1 :]
    counts = (count for count in range(1, mask.size + 1) if mask.size % count == 0)
    rows = next(x for x in (mask.reshape(count, -1) for count in counts) if (x[:, 0] == x.T).all())
    return rows[:, 0], tail


def _lost(kept: KeptChannels, name: str, node: Node) -> Mapping[int, BoolArray]:
    """Which positions of an input stay, by axis."""
    along = kept.along(name)
    if along is not None:
        return dict([along])
    source = kept.model.producer(name)
    dequantised = source is not None and source.is_op("DequantizeLinear")
    return kept.masks(source.inputs[0] if source and dequantised else name, node.name)


def _gather(editor: GraphEditor, base: str, ends: tuple[Tensor, Tensor], move: _Move) -> None:
    """Make the second of `ends` of the first one at some places along an axis."""
    source, result = ends
    indices = editor.add_constant(f"{base}.places", move.places.astype(np.int64))
    if move.tail is None:
        name = editor.unique_node_name(base)
        editor.add_node(name, "Gather", [source, indices], [result], {"axis": move.axis})
        return
    head = (0,) * move.axis
    rows, taken = (editor.add_tensor(f"{base}.{name}") for name in ("rows", "taken"))
    split = editor.add_constant(f"{base}.split", np.array([*head, move.count, -1, *move.tail]))
    joined = editor.add_constant(f"{base}.joined", np.array([*head, -1, *move.tail]))
    for op_type, inputs, output, attributes in (
        ("Reshape", (source, split), rows, {}),
        ("Gather", (rows, indices), taken, {"axis": move.axis}),
        ("Reshape", (taken, joined), result, {}),
    ):
        name = editor.unique_node_name(f"{base}.{op_type.lower()}")
        editor.add_node(name, op_type, inputs, [output], attributes)
