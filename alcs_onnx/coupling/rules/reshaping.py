"""Reshape and Flatten: channels split over two axes, or run together with pixels."""

from __future__ import annotations

from math import prod

import numpy as np

from alcs_onnx.coupling.linker import Linker
from alcs_onnx.coupling.rules.registry import Changes, Kept, couples, input_changed
from alcs_onnx.graph import Model, Node, told
from alcs_onnx.types import IntArray, Shape


def _resize(node: Node, kept: Kept) -> Changes:
    """The target counts the channels that are left; -1 and 0 say it by themselves."""
    found = kept.along(node.outputs[0])
    source = kept.along(node.inputs[0])
    if found is None and source is None:
        return Changes()
    before, after = kept.model.shapes[node.outputs[0]], kept.shape(node.outputs[0])
    known = kept.value(node.inputs[1])
    target = np.array(before, np.int64) if known is None else known
    changed = target.copy()
    for axis, size in enumerate(after):
        if target[axis] > 0 and size != before[axis]:
            changed[axis] = size
            if node.inputs[1] not in kept.model.initializers and _beside_others(node, kept):
                changed[axis] = -1
    return input_changed(node, kept, 1, target, changed)


def _beside_others(node: Node, kept: Kept) -> bool:
    """Whether the axis of the channels counts pixels or samples, too, as it is computed."""
    source = kept.along(node.inputs[0])
    return source is None or _mixed_axes(kept.model, node, source[0])


def _mixed_axes(model: Model, node: Node, axis: int) -> bool:
    """Whether a target that is computed has sizes of other axes beside the channels of `axis`."""
    before, after = (model.shapes[name] for name in (node.inputs[0], node.outputs[0]))
    matched = match_axes(before, after, axis)
    if matched is None:
        return True
    (first, last), _ = matched
    open_axes = set(model.varying_axes(node.inputs[0])) - {axis}
    return bool(open_axes & set(range(first, last))) or prod(before[first:last]) != before[axis]


@couples("Reshape", resize=_resize)
def reshape(linker: Linker, node: Node) -> None:
    """Axes are matched by their products.

    Channels split over two axes can only be removed in whole rows or columns: along the axis of
    more channels, so that those at the same place of the other one are linked.
    """
    _regroup(linker, node)
    source, output = (linker.channels[name] for name in (node.inputs[0], node.outputs[0]))
    if node.inputs[1] in linker.model.initializers or None in (source.axis, output.axis):
        return
    assert source.axis is not None
    assert output.axis is not None
    if _mixed_axes(linker.model, node, source.axis):
        # -1 is to take the place of what counts channels: other sizes may change at run time.
        target = linker.value(node.inputs[1])
        if target is None or -1 in np.delete(target, output.axis):
            linker.freeze(source.ids, f"{told(node)} has a target that is computed at run time")


@couples("Flatten")
def flatten(linker: Linker, node: Node) -> None:
    """Each channel once for each of its pixels."""
    _regroup(linker, node)


def _regroup(linker: Linker, node: Node) -> None:
    source, output = node.inputs[0], node.outputs[0]
    found = linker.channels[source]
    if found.axis is None:
        return linker.set(output, None, found.ids)
    before, after = linker.shape(source), linker.shape(output)
    matched = match_axes(before, after, found.axis)
    if matched is None:
        return linker.pass_frozen(source, output, f"{told(node)} takes channels apart")
    (in_first, in_last), (out_first, out_last) = matched
    # The channel of every element within the matched axes.
    shape = [1] * (in_last - in_first)
    shape[found.axis - in_first] = found.ids.size
    elements = np.broadcast_to(found.ids.reshape(shape), before[in_first:in_last])
    axis, ids = _one_axis(linker, elements.reshape(after[out_first:out_last]))
    if axis is not None and _counts_samples(
        linker.model, node, range(found.axis + 1, in_last), out_first + axis
    ):
        reason = f"{told(node)} lays samples and channels along one axis"
        return linker.pass_frozen(source, output, reason)
    return linker.set(output, None if axis is None else out_first + axis, ids)


def _counts_samples(model: Model, node: Node, pixels: range, axis: int) -> bool:
    """Whether `axis` of the result, of the channels, is longer for more samples, too.

    `pixels` are the axes behind the channels, which may lie along it as well. At the measured
    sizes, a batch of 1 say, samples in front of the channels need not show.
    """
    if axis not in model.varying_axes(node.outputs[0]):
        return False
    sizes = [(at[node.inputs[0]], at[node.outputs[0]]) for at in (model.shapes, model.other_shapes)]
    (pixels_here, here), (pixels_there, there) = (
        (prod(before[axis] for axis in pixels), after[axis]) for before, after in sizes
    )
    return here * pixels_there != there * pixels_here


def _one_axis(linker: Linker, elements: IntArray) -> tuple[int | None, IntArray]:
    """The axis of the most channels; others are linked until nothing varies along them."""
    varying = [
        axis
        for axis in range(elements.ndim)
        if elements.shape[axis] > 1 and (elements != elements.take([0], axis)).any()
    ]
    if not varying:
        flat = elements.reshape(-1)[:1]
        # A single channel: still one axis of size 1 that it lies along, if there is one.
        single = [axis for axis in range(elements.ndim) if elements.shape[axis] == 1]
        return (single[0] if single else None), flat
    longest = max(varying, key=lambda axis: (_distinct(elements, axis), elements.shape[axis], axis))
    for axis in range(elements.ndim):
        if axis != longest:
            first = elements.take([0], axis)
            if axis in varying:
                linker.link(elements, np.broadcast_to(first, elements.shape))
            elements = first
    return longest, elements.reshape(-1)


def _distinct(elements: IntArray, axis: int) -> int:
    """How many channels lie along an axis, at one place of the others."""
    return int(np.unique(np.moveaxis(elements, axis, -1).reshape(-1, elements.shape[axis])[0]).size)


def match_axes(
    before: Shape, after: Shape, axis: int
) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """The smallest runs of axes of equal product, in both shapes, around `axis` of the first.

    None when a size is 0 or the products do not fit.
    """
    if prod(before) != prod(after) or prod(before) == 0:
        return None
    i = j = 0
    while i < len(before):
        first_i, first_j = i, j
        size_i, i = before[i], i + 1
        size_j, j = (after[j], j + 1) if j < len(after) else (1, j)
        while size_i != size_j:
            if size_i < size_j:
                size_i, i = size_i * before[i], i + 1
            else:
                size_j, j = size_j * after[j], j + 1
        # Axes of size 1 that follow belong to whatever runs there already.
        if first_i <= axis < i:
            while i == len(before) and j < len(after):
                j += 1
            return (first_i, i), (first_j, j)
    return None
