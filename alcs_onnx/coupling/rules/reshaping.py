"""Reshape and Flatten: channels split over two axes, or run together with pixels."""

from __future__ import annotations

from math import prod

import numpy as np

from alcs_onnx.coupling.linker import Linker, told
from alcs_onnx.coupling.rules.registry import Changes, Kept, couples
from alcs_onnx.graph import Node
from alcs_onnx.types import IntArray, Shape


def _resize(node: Node, kept: Kept) -> Changes:
    """The target counts the channels that are left; -1 and 0 say it by themselves."""
    found = kept.along(node.outputs[0])
    source = kept.along(node.inputs[0])
    target = kept.model.initializers.get(node.input(1))
    if target is None or (found is None and source is None):
        return Changes()
    target = target.copy()
    after = kept.shape(node.outputs[0])
    before = kept.model.shapes[node.outputs[0]]
    for axis, size in enumerate(after):
        if target[axis] > 0 and size != before[axis]:
            target[axis] = size
    return Changes(inputs={1: target})


@couples("Reshape", resize=_resize)
def reshape(linker: Linker, node: Node) -> None:
    """Axes are matched by their products.

    Channels split over two axes can only be removed in whole rows or columns: along the longer
    axis, so that those at the same place of the shorter one are linked.
    """
    if node.inputs[1] not in linker.model.initializers:
        reason = f"{told(node)} has a target that is computed at run time"
        linker.freeze_tensor(node.inputs[0], reason)
        return linker.set_frozen(node.outputs[0], reason)
    return _regroup(linker, node)


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
        linker.freeze(found.ids, f"{told(node)} takes them apart")
        return linker.set_frozen(output, f"{told(node)} takes channels apart")
    (in_first, in_last), (out_first, out_last) = matched
    # The channel of every element within the matched axes.
    shape = [1] * (in_last - in_first)
    shape[found.axis - in_first] = found.ids.size
    elements = np.broadcast_to(found.ids.reshape(shape), before[in_first:in_last])
    axis, ids = _one_axis(linker, elements.reshape(after[out_first:out_last]))
    return linker.set(output, None if axis is None else out_first + axis, ids)


def _one_axis(linker: Linker, elements: IntArray) -> tuple[int | None, IntArray]:
    """The longest axis along which the channels vary; others are linked until they do not."""
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
    longest = max(varying, key=lambda axis: (elements.shape[axis], axis))
    for axis in range(elements.ndim):
        if axis != longest:
            first = elements.take([0], axis)
            if axis in varying:
                linker.link(elements, np.broadcast_to(first, elements.shape))
            elements = first
    return longest, elements.reshape(-1)


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
