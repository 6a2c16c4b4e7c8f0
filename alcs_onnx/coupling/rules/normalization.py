"""Normalisations: those that go channel by channel, and those that mix channels."""

from __future__ import annotations

from alcs_onnx.coupling.linker import Linker, told
from alcs_onnx.coupling.rules.registry import couples
from alcs_onnx.graph import Node

_CHANNEL_AXIS = 1


@couples("BatchNormalization", "InstanceNormalization", reads_others=True)
def per_channel(linker: Linker, node: Node) -> None:
    """Scale, shift and statistics are vectors over axis 1."""
    ids = linker.along(node.inputs[0], _CHANNEL_AXIS, node)
    linker.set(node.outputs[0], _CHANNEL_AXIS, ids)
    for name in node.outputs[1:]:
        linker.set_frozen(name, f"{told(node)} gives out its statistics")
    for index, name in enumerate(node.inputs[1:]):
        if linker.is_constant(name):
            linker.use(name, 0, ids, "scale" if index == 0 else "vector", node)
        else:
            linker.link(ids, linker.along(name, 0, node))


@couples("GroupNormalization", "LRN", "LayerNormalization", "LpNormalization",
         "MeanVarianceNormalization")  # fmt: skip
def across_channels(linker: Linker, node: Node) -> None:
    """Each output depends on several channels: without some of them it would be another."""
    for name in node.inputs:
        linker.freeze_tensor(name, f"{told(node)} normalises across channels")
    found = linker.channels[node.inputs[0]]
    linker.set(node.outputs[0], found.axis, found.ids)
    for name in node.outputs[1:]:
        linker.set_frozen(name, f"{told(node)} normalises across channels")
