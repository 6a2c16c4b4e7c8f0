"""The model at full size that ignores channels: what a smaller model has to agree with."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from alcs_onnx.coupling import Coupling
from alcs_onnx.graph import GraphEditor, Model, Node, Tensor
from alcs_onnx.graph.model import Array
from alcs_onnx.rewrite.kept import KeptChannels
from alcs_onnx.types import BoolArray, ChannelMask


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
            given, places = changed.inputs[index], np.flatnonzero(mask)
            taken = editor.add_tensor(f"{node.name}.kept{index}.y")
            _gather(editor, f"{node.name}.kept{index}", (given, taken), axis, places)
            changed.inputs[index] = taken
    lost, output = kept.along(node.outputs[0]), changed.outputs[0]
    if lost is not None:
        axis, mask = lost
        # A removed channel takes the place of any other: nobody looks at it.
        places = np.where(mask, np.cumsum(mask) - 1, 0)
        changed.outputs[0] = editor.add_tensor(f"{output.name}.kept")
        _gather(editor, f"{node.name}.placed", (changed.outputs[0], output), axis, places)


def _lost(kept: KeptChannels, name: str, node: Node) -> Mapping[int, BoolArray]:
    """Which positions of an input stay, by axis."""
    along = kept.along(name)
    if along is not None:
        return dict([along])
    source = kept.model.producer(name)
    dequantised = source is not None and source.is_op("DequantizeLinear")
    return kept.masks(source.inputs[0] if source and dequantised else name, node.name)


def _gather(
    editor: GraphEditor, base: str, ends: tuple[Tensor, Tensor], axis: int, places: Array
) -> None:
    """Make the second of `ends` of the first one at some places along `axis`."""
    source, result = ends
    indices = editor.add_constant(f"{base}.places", places.astype(np.int64))
    name = editor.unique_node_name(base)
    editor.add_node(name, "Gather", [source, indices], [result], {"axis": axis})
