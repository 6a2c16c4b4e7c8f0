"""Normalisations: those that go channel by channel, and those that take statistics of several.

Of a mean or a norm over channels, removal leaves that of the channels that stay: they live and die
with the scales and shifts of the layer.
"""

from __future__ import annotations

from alcs_onnx.coupling.linker import Linker
from alcs_onnx.coupling.rules.convolution import by_whole_groups
from alcs_onnx.coupling.rules.registry import Changes, Kept, couples
from alcs_onnx.graph import Node, told
from alcs_onnx.types import Shape

_CHANNEL_AXIS = 1


def _statistics_stay(linker: Linker, node: Node) -> None:
    for name in node.outputs[1:]:
        linker.set_frozen(name, f"{told(node)} gives out its statistics")


@couples("BatchNormalization", "InstanceNormalization", reads_others=True)
def per_channel(linker: Linker, node: Node) -> None:
    """Scale, shift and statistics are vectors over axis 1.

    Channels along another axis are what InstanceNormalization takes its statistics over: with a
    Reshape before and after, this is how group normalisation is written.
    """
    source, output = node.inputs[0], node.outputs[0]
    found = linker.channels[source]
    _statistics_stay(linker, node)
    if node.is_op("InstanceNormalization") and found.axis not in (None, 0, _CHANNEL_AXIS):
        linker.mix(node, found.ids)
        return linker.set(output, found.axis, found.ids)
    ids = linker.along(source, _CHANNEL_AXIS, node)
    linker.set(output, _CHANNEL_AXIS, ids)
    for index, name in enumerate(node.inputs[1:]):
        if linker.is_constant(name):
            linker.use(name, 0, ids, "scale" if index == 0 else "vector", node)
        else:
            linker.link(ids, linker.along(name, 0, node))
    return None


def _group_resize(node: Node, kept: Kept) -> Changes:
    """Fewer groups where whole ones went."""
    found = kept.along(node.inputs[0])
    if found is None:
        return Changes()
    groups = node.int_attribute("num_groups", 1)
    left = int(found[1].reshape(groups, -1).any(axis=1).sum())
    return Changes({"num_groups": left}) if left != groups else Changes()


@couples("GroupNormalization", resize=_group_resize, reads_others=True)
def group_normalization(linker: Linker, node: Node) -> None:
    """Whole groups go, or the same channels of each: the finer of the two, as for grouped convs.

    Without a whole group the statistics of the others are what they were.
    """
    ids = linker.along(node.inputs[0], _CHANNEL_AXIS, node)
    groups = node.int_attribute("num_groups", 1)
    linker.set(node.outputs[0], _CHANNEL_AXIS, ids)
    per_group = ids.reshape(groups, -1)
    whole = by_whole_groups(groups, ids.size, ids.size)
    if whole:
        linker.link(per_group, per_group[:, :1])
    else:
        linker.link(per_group, per_group[:1])
        linker.mix(node, ids)
    for index, name in enumerate(node.inputs[1:]):
        if linker.is_constant(name):
            linker.use(name, 0, ids, "scale" if index == 0 else "vector", node)
        else:
            linker.freeze_tensor(name, f"{told(node)} reads it as a parameter")
            linker.freeze(ids, f"{told(node)} has parameters that are computed at run time")


@couples("LayerNormalization", "RMSNormalization", reads_others=True)
def layer_normalization(linker: Linker, node: Node) -> None:
    """Statistics of all axes from `axis` on; scale and shift lie along some of them."""
    source = node.inputs[0]
    found = linker.channels[source]
    linker.set(node.outputs[0], found.axis, found.ids)
    _statistics_stay(linker, node)
    if found.axis is None:
        return
    rank = len(linker.shape(source))
    if found.axis >= node.int_attribute("axis", -1) % rank:
        linker.mix(node, found.ids)
    elif any(node.outputs[1:]):
        linker.freeze(found.ids, f"{told(node)} gives out its statistics")
    for index, name in enumerate(node.inputs[1:]):
        shape = linker.shape(name) if name else ()
        own = found.axis - rank + len(shape)
        if own < 0 or shape[own] == 1:
            continue
        if linker.is_constant(name):
            linker.use(name, own, found.ids, "scale" if index == 0 else "vector", node)
        else:
            linker.freeze_tensor(name, f"{told(node)} reads it as a parameter")
            linker.freeze(found.ids, f"{told(node)} has parameters that are computed at run time")


@couples("LRN", "LpNormalization", "MeanVarianceNormalization")
def without_parameters(linker: Linker, node: Node) -> None:
    """Each channel over a norm, of its own pixels or of several channels."""
    found = linker.channels[node.inputs[0]]
    linker.set(node.outputs[0], found.axis, found.ids)
    if found.axis in _normalised(node, len(linker.shape(node.inputs[0]))):
        linker.mix(node, found.ids)


def _normalised(node: Node, rank: int) -> Shape:
    """The axes that a norm is taken over."""
    if node.is_op("LRN"):
        return (_CHANNEL_AXIS,)
    if node.is_op("LpNormalization"):
        return (node.int_attribute("axis", -1) % rank,)
    return tuple(axis % rank for axis in node.ints_attribute("axes", (0, 2, 3)))
