"""Convolutions, also grouped, depthwise and transposed."""

from __future__ import annotations

import numpy as np

from alcs_onnx.coupling.linker import Linker, told
from alcs_onnx.coupling.rules.registry import Changes, Kept, couples
from alcs_onnx.graph import Node
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


def _grouped(
    linker: Linker, group: int, inputs: IntArray, outputs: IntArray
) -> tuple[IntArray, IntArray | None, bool]:
    """Channels of the outputs, those of the weight's input axis (None: untouched), whole groups."""
    if group == 1:
        return outputs, inputs, False
    per_input = inputs.reshape(group, -1)
    per_output = outputs.reshape(group, -1)
    if by_whole_groups(group, inputs.size, outputs.size):
        linker.link(per_input, per_input[:, :1])
        linker.link(per_output, per_input[:, :1])
        return outputs, None, True
    linker.link(per_input, per_input[:1])
    linker.link(per_output, per_output[:1])
    return outputs, per_input[0], False


@couples("Conv", resize=_resize, reads_others=True)
def conv(linker: Linker, node: Node) -> None:
    """Output channels are new; each input channel is a slice of the weight, [M, C/group, ...]."""
    weight, output = node.input(1), node.outputs[0]
    inputs = linker.along(node.inputs[0], _CHANNEL_AXIS, node)
    outputs = linker.fresh(linker.shape(output)[_CHANNEL_AXIS])
    group = node.int_attribute("group", 1)
    outputs, columns, whole = _grouped(linker, group, inputs, outputs)
    linker.set(output, _CHANNEL_AXIS, outputs)
    if not linker.is_constant(weight):
        return _refuse(linker, node)
    linker.use(weight, 0, outputs, "scale" if whole else "out", node)
    if columns is not None:
        linker.use(weight, 1, columns, "in", node)
    return _bias(linker, node, outputs)


@couples("ConvTranspose", resize=_resize, reads_others=True)
def conv_transpose(linker: Linker, node: Node) -> None:
    """The same with the weight's axes the other way round, [C, M/group, ...]."""
    weight, output = node.input(1), node.outputs[0]
    inputs = linker.along(node.inputs[0], _CHANNEL_AXIS, node)
    outputs = linker.fresh(linker.shape(output)[_CHANNEL_AXIS])
    group = node.int_attribute("group", 1)
    linker.set(output, _CHANNEL_AXIS, outputs)
    if not linker.is_constant(weight):
        return _refuse(linker, node)
    if group == 1:
        linker.use(weight, 1, outputs, "out", node)
    elif by_whole_groups(group, inputs.size, outputs.size):
        whole = inputs.reshape(group, -1)
        linker.link(whole, whole[:, :1])
        linker.link(outputs.reshape(group, -1), whole[:, :1])
    else:
        linker.link(inputs.reshape(group, -1), inputs.reshape(group, -1)[:1])
        per_output = outputs.reshape(group, -1)
        linker.link(per_output, per_output[:1])
        linker.use(weight, 1, per_output[0], "out", node)
    whole_groups = group > 1 and by_whole_groups(group, inputs.size, outputs.size)
    linker.use(weight, 0, inputs, "scale" if whole_groups else "in", node)
    return _bias(linker, node, outputs)


def _refuse(linker: Linker, node: Node) -> None:
    for name in (*node.inputs, *node.outputs):
        linker.freeze_tensor(name, f"{told(node)} has weights that are computed at run time")


def _bias(linker: Linker, node: Node, outputs: IntArray) -> None:
    bias = node.input(2)
    if not bias:
        return
    if linker.is_constant(bias):
        linker.use(bias, 0, outputs, "vector", node)
    else:
        linker.link(linker.along(bias, 0, node), np.asarray(outputs))
