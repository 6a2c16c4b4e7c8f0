"""Convolutions, also grouped, depthwise and transposed."""

from __future__ import annotations

import numpy as np

from alcs_onnx.coupling.linker import Linker
from alcs_onnx.coupling.rules.registry import Changes, Kept, couples
from alcs_onnx.graph import Node, told
from alcs_onnx.graph.obstacles import saved_by_runtime
from alcs_onnx.types import IntArray

_CHANNEL_AXIS = 1


def _resize(node: Node, kept: Kept) -> Changes:
    """Fewer conv groups where whole ones went."""
    group = node.int_attribute("group", 1)
    found = kept.along(node.inputs[0])
    if group == 1 or found is None:
        return Changes()
    _, mask = found
    whole = mask.reshape(group, -1)
    left = int(whole.any(axis=1).sum())
    return Changes({"group": left}) if left != group else Changes()


def by_whole_groups(group: int, inputs: int, outputs: int) -> bool:
    """Whether conv groups are removed whole, rather than the same channels of each.

    Both keep all groups of one size, as ONNX demands. The finer of the two is taken: 32 groups
    of 4 channels go one by one, 4 groups of 32 become narrower. A depthwise convolution is
    the extreme of the first.
    """
    return group >= max(inputs // group, outputs // group)


def _channels(
    linker: Linker, node: Node, read: int, made: int
) -> tuple[IntArray, IntArray, int, bool]:
    """Channels read, new ones made, the number of conv groups, and whether those go whole.

    `read` and `made` count them: the weight does, so that no shape has to be known.
    """
    inputs = linker.along(node.inputs[0], _CHANNEL_AXIS, node, read)
    outputs = linker.fresh(made)
    linker.set(node.outputs[0], _CHANNEL_AXIS, outputs)
    group = node.int_attribute("group", 1)
    if group == 1:
        return inputs, outputs, group, False
    per_input, per_output = inputs.reshape(group, -1), outputs.reshape(group, -1)
    whole = by_whole_groups(group, inputs.size, outputs.size)
    if whole:
        linker.link(per_input, per_input[:, :1])
        linker.link(per_output, per_input[:, :1])
    else:
        linker.link(per_input, per_input[:1])
        linker.link(per_output, per_output[:1])
    return inputs, outputs, group, whole


@couples("Conv", resize=_resize, reads_others=True, needs_shapes=False)
def conv(linker: Linker, node: Node) -> None:
    """Output channels are new; each input channel is a slice of the weight, [M, C/group, ...]."""
    weight = node.input(1)
    if not linker.is_constant(weight):
        return _refuse(linker, node, f"{told(node)} has weights that are computed at run time")
    made, read, *_ = linker.shape(weight)
    read *= node.int_attribute("group", 1)
    inputs, outputs, group, whole = _channels(linker, node, read, made)
    linker.use(weight, 0, outputs, "scale" if whole else "out", node)
    if not whole:
        linker.use(weight, 1, inputs.reshape(group, -1)[0], "in", node)
    return _bias(linker, node, outputs)


@couples("ConvTranspose", resize=_resize, reads_others=True, needs_shapes=False)
def conv_transpose(linker: Linker, node: Node) -> None:
    """The same with the weight's axes the other way round, [C, M/group, ...]."""
    weight = node.input(1)
    if not linker.is_constant(weight):
        return _refuse(linker, node, f"{told(node)} has weights that are computed at run time")
    read, made, *_ = linker.shape(weight)
    made *= node.int_attribute("group", 1)
    inputs, outputs, group, whole = _channels(linker, node, read, made)
    if not whole:
        linker.use(weight, 1, outputs.reshape(group, -1)[0], "out", node)
    linker.use(weight, 0, inputs, "scale" if whole else "in", node)
    return _bias(linker, node, outputs)


@couples("com.microsoft.FusedConv", reads_others=True, needs_shapes=False)
def fused_conv(linker: Linker, node: Node) -> None:
    """What ONNX Runtime makes of a Conv and its activation: not a file to start from."""
    _refuse(linker, node, saved_by_runtime(node))
    weight = node.input(1)
    if linker.is_constant(weight):
        linker.use(weight, 0, linker.fresh(linker.shape(weight)[0]), "out", node)


def _refuse(linker: Linker, node: Node, reason: str) -> None:
    for name in node.inputs:
        linker.freeze_tensor(name, reason)
    linker.set_frozen(node.outputs[0], reason)


def _bias(linker: Linker, node: Node, outputs: IntArray) -> None:
    bias = node.input(2)
    if not bias:
        return
    if linker.is_constant(bias):
        linker.use(bias, 0, outputs, "vector", node)
    else:
        linker.link(linker.along(bias, 0, node, outputs.size), np.asarray(outputs))
