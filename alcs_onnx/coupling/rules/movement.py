"""Operators that move and join whole channels: Transpose, Squeeze, Concat and the like."""

from __future__ import annotations

import numpy as np

from alcs_onnx.coupling.linker import Linker
from alcs_onnx.coupling.rules.axes import named_axes
from alcs_onnx.coupling.rules.registry import Changes, Kept, couples
from alcs_onnx.graph import Node, told

#: Squeeze has an input in place of an attribute since.
_AXES_AS_INPUT = 13


def _pass_on(linker: Linker, node: Node, axis: int | None) -> None:
    """The first output has the first input's channels, along `axis`."""
    linker.set(node.outputs[0], axis, linker.channels[node.inputs[0]].ids)


@couples("Transpose")
def transpose(linker: Linker, node: Node) -> None:
    """The axis of the channels moves."""
    found = linker.channels[node.inputs[0]]
    rank = len(linker.shape(node.inputs[0]))
    order = node.ints_attribute("perm") or tuple(reversed(range(rank)))
    _pass_on(linker, node, None if found.axis is None else order.index(found.axis))


def _squeeze_resize(node: Node, kept: Kept) -> Changes:
    """Axes are given explicitly: that of the channels may come to have size 1 as well."""
    if kept.along(node.inputs[0]) is None or node.input(1) or "axes" in node.attributes:
        return Changes()
    shape = kept.model.shapes[node.inputs[0]]
    axes = tuple(axis for axis, size in enumerate(shape) if size == 1)
    if kept.model.opset >= _AXES_AS_INPUT:
        return Changes(inputs={1: np.array(axes, np.int64)})
    return Changes({"axes": axes})


@couples("Squeeze", resize=_squeeze_resize)
def squeeze(linker: Linker, node: Node) -> None:
    """Axes of size 1 go; that of a single channel with them."""
    source = linker.shape(node.inputs[0])
    named = named_axes(linker.value, node, len(source))
    axes = named or tuple(axis for axis, size in enumerate(source) if size == 1)
    found = linker.channels[node.inputs[0]]
    if found.axis is None or found.axis in axes or named is None:
        reason = f"{told(node)} drops the axis of its only channel"
        return linker.pass_frozen(node.inputs[0], node.outputs[0], reason)
    return _pass_on(linker, node, found.axis - sum(axis < found.axis for axis in axes))


@couples("Unsqueeze")
def unsqueeze(linker: Linker, node: Node) -> None:
    """Axes of size 1 come in between."""
    found = linker.channels[node.inputs[0]]
    rank = len(linker.shape(node.outputs[0]))
    axes = named_axes(linker.value, node, rank)
    if axes is None:
        reason = f"{told(node)} gets its axes at run time"
        return linker.pass_frozen(node.inputs[0], node.outputs[0], reason)
    old = [axis for axis in range(rank) if axis not in axes]
    return _pass_on(linker, node, None if found.axis is None else old[found.axis])


@couples("Concat", reads_first=False)
def concat(linker: Linker, node: Node) -> None:
    """Along the channels: one behind the other. Along another axis: the same ones."""
    output = node.outputs[0]
    axis = node.int_attribute("axis", 0) % len(linker.shape(output))
    others = {
        linker.channels[name].axis
        for name in node.inputs
        if name in linker.channels and linker.channels[name].axis not in (None, axis)
    }
    if others:
        return _stack(linker, node, others)
    if not any(name in linker.channels for name in node.inputs):
        return linker.set_frozen(output, f"{told(node)} joins constants")
    parts = []
    for name in node.inputs:
        if name in linker.channels:
            parts.append(linker.along(name, axis, node))
        else:
            parts.append(linker.fresh(linker.shape(name)[axis]))
            linker.use(name, axis, parts[-1], "vector", node)
    return linker.set(output, axis, np.concatenate(parts))


def _stack(linker: Linker, node: Node, axes: set[int | None]) -> None:
    """Tensors of the same channels, joined along an axis that is not theirs."""
    axis = next(iter(axes))
    known = [linker.channels[name] for name in node.inputs if name in linker.channels]
    if axis is None or len(axes) > 1 or any(found.axis != axis for found in known):
        reason = f"{told(node)} joins tensors whose channels lie along different axes"
        for name in node.inputs:
            linker.freeze_tensor(name, reason)
        linker.set_frozen(node.outputs[0], reason)
        return
    for found in known[1:]:
        linker.link(known[0].ids, found.ids)
    for name in node.inputs:
        if name not in linker.channels:
            linker.use(name, axis, known[0].ids, "vector", node)
    linker.set(node.outputs[0], axis, known[0].ids)
