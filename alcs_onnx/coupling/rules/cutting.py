"""Operators that cut, pick and add channels: their constants count and number them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from alcs_onnx.coupling.linker import Linker
from alcs_onnx.coupling.rules.axes import Value
from alcs_onnx.coupling.rules.registry import Changes, Kept, couples, input_changed
from alcs_onnx.graph import Node, told
from alcs_onnx.types import IntArray, Shape

#: Split has an input in place of an attribute since.
_SIZES_AS_INPUT = 13


def _sizes(node: Node, shapes: Mapping[str, Shape], value: Value) -> tuple[int, list[int]]:
    """The axis of a Split, and the sizes of its outputs, also of those that are left out."""
    source = shapes[node.inputs[0]]
    axis = node.int_attribute("axis", 0) % len(source)
    given = value(node.input(1)) if node.input(1) else node.ints_attribute("split")
    if given is not None and len(given):
        return axis, [int(size) for size in given]
    part = -(-source[axis] // len(node.outputs))  # equal ones, the last one perhaps smaller
    sizes = [min(part, max(source[axis] - i * part, 0)) for i in range(len(node.outputs))]
    named = zip(node.outputs, sizes, strict=True)
    return axis, [shapes[name][axis] if name else size for name, size in named]


def _split_resize(node: Node, kept: Kept) -> Changes:
    """Sizes are given explicitly, since equal parts need not stay equal."""
    found = kept.along(node.inputs[0])
    axis, parts = _sizes(node, kept.model.shapes, kept.value)
    if found is None or found[0] != axis:
        return Changes()
    full = np.array(parts, np.int64)
    ends = np.cumsum(full)
    sizes = np.array(
        [found[1][end - size : end].sum() for size, end in zip(full, ends, strict=True)], np.int64
    )
    if kept.model.opset < _SIZES_AS_INPUT:
        return Changes({"split": tuple(int(size) for size in sizes)})
    if node.input(1) and node.input(1) not in kept.model.initializers:
        return input_changed(node, kept, 1, full, sizes)
    return Changes(inputs={1: sizes}, drop_attributes=("num_outputs",))


@couples("Split", resize=_split_resize)
def split(linker: Linker, node: Node) -> None:
    """Each output has its part of the channels, or all of them."""
    found = linker.channels[node.inputs[0]]
    axis, sizes = _sizes(node, linker.model.shapes, linker.value)
    if found.axis != axis:
        for name in node.outputs:
            linker.set(name, found.axis, found.ids)
        return
    start = 0
    for name, size in zip(node.outputs, sizes, strict=True):
        linker.set(name, axis, found.ids[start : start + size])
        start += size


def _slices(node: Node, rank: int, value: Value) -> dict[int, slice] | None:
    """What a Slice takes of each axis; None where that is decided at run time."""
    if len(node.inputs) > 1:
        given = [value(name) if name else None for name in node.inputs[1:]]
        if any(name and array is None for name, array in zip(node.inputs[1:], given, strict=True)):
            return None
        given += [None] * (4 - len(given))
        starts, ends, axes, steps = given
    else:
        starts, ends, axes, steps = (
            np.array(node.ints_attribute(name)) if name in node.attributes else None
            for name in ("starts", "ends", "axes", "steps")
        )
    if starts is None or ends is None:
        return None
    count = len(starts)
    numbers = np.arange(count) if axes is None else axes
    strides = np.ones(count, np.int64) if steps is None else steps
    return {
        int(axis) % rank: slice(int(start), int(end), int(step))
        for axis, start, end, step in zip(numbers, starts, ends, strides, strict=True)
    }


def _slice_resize(node: Node, kept: Kept) -> Changes:
    """Begin and end where the channels that are left begin and end; by steps, each is named."""
    found = kept.along(node.inputs[0])
    slices = _slices(node, len(kept.model.shapes[node.inputs[0]]), kept.value)
    if found is None or slices is None or found[0] not in slices:
        return Changes()
    axis, mask = found
    if slices[axis].step != 1:
        picked = np.arange(mask.size)[slices[axis]]
        places = (np.cumsum(mask) - 1)[picked[mask[picked]]]
        return Changes({"axis": axis}, {1: places}, operator="Gather")
    begin, end, _ = slices[axis].indices(mask.size)
    cut = (int(mask[:begin].sum()), int(mask[:end].sum()))
    order = list(slices)
    starts = [cut[0] if a == axis else slices[a].start for a in order]
    ends = [cut[1] if a == axis else slices[a].stop for a in order]
    if len(node.inputs) == 1:
        return Changes({"starts": tuple(starts), "ends": tuple(ends), "axes": tuple(order)})
    before = [kept.value(name) for name in node.inputs[1:3]]
    assert before[0] is not None
    assert before[1] is not None
    first = input_changed(node, kept, 1, before[0], np.array(starts))
    second = input_changed(node, kept, 2, before[1], np.array(ends))
    return Changes(
        inputs={**first.inputs, **second.inputs}, overrides={**first.overrides, **second.overrides}
    )


@couples("Slice", resize=_slice_resize)
def slice_(linker: Linker, node: Node) -> None:
    """A run of channels, or every so many, or all of them."""
    source, output = node.inputs[0], node.outputs[0]
    found = linker.channels[source]
    slices = _slices(node, len(linker.shape(source)), linker.value)
    if found.axis is None:
        return linker.pass_frozen(source, output, f"{told(node)} cuts it in pieces")
    if slices is None:
        axes, steps = (linker.value(node.input(index)) for index in (3, 4))
        other = axes is not None and found.axis not in axes % len(linker.shape(source))
        forwards = not node.input(4) or (steps is not None and (steps > 0).all())
        if other or (forwards and linker.shape(output)[found.axis] == found.ids.size):
            return linker.set(output, found.axis, found.ids)
        reason = f"{told(node)} cuts at places known only at run time"
        return linker.pass_frozen(source, output, reason)
    cut = slices.get(found.axis, slice(None))
    if cut.step not in (None, 1):
        # What is left is no longer every so many: a Gather, which does no more than that.
        if len(slices) > 1:
            linker.freeze(found.ids, f"{told(node)} takes channels by steps, and cuts other axes")
        elif any(name and not linker.is_constant(name) for name in node.inputs[1:]):
            linker.freeze(found.ids, f"{told(node)} takes channels by steps told at run time")
    return linker.set(output, found.axis, found.ids[cut])


def _gather_resize(node: Node, kept: Kept) -> Changes:
    """Numbers of the channels that are left, counted anew."""
    found = kept.along(node.inputs[0])
    axis = node.int_attribute("axis", 0) % len(kept.model.shapes[node.inputs[0]])
    if found is None or found[0] != axis:
        return Changes()
    mask = found[1]
    indices = np.asarray(kept.model.initializers[node.inputs[1]])
    indices = np.where(indices < 0, indices + mask.size, indices)
    left = indices[mask[indices]] if indices.ndim else indices
    return Changes(inputs={1: (np.cumsum(mask) - 1)[left].astype(indices.dtype)})


@couples("Gather", resize=_gather_resize, reads_first=False)
def gather(linker: Linker, node: Node) -> None:
    """Channels in another order, some of them perhaps twice or not at all.

    Of a table of floats rows are taken: their entries are channels.
    """
    source, output = node.inputs[0], node.outputs[0]
    indices = linker.model.initializers.get(node.inputs[1])
    found = linker.channels.get(source)
    reason = f"{told(node)} looks up channels"
    axis = node.int_attribute("axis", 0) % len(linker.shape(source))
    if found is not None and found.axis is not None and found.axis != axis:
        linker.freeze_tensor(node.inputs[1], f"{told(node)} reads it as places")
        grown = len(linker.shape(output)) - len(linker.shape(source))
        return linker.set(output, found.axis + (grown if found.axis > axis else 0), found.ids)
    if found is None and _take_rows(linker, node, axis):
        return None
    if indices is None or found is None or found.axis is None:
        for name in node.inputs:
            linker.freeze_tensor(name, reason)
        return linker.set_frozen(output, reason)
    if indices.ndim != 1:
        return linker.pass_frozen(source, output, reason)
    return linker.set(output, axis, found.ids[indices])


def _take_rows(linker: Linker, node: Node, axis: int) -> bool:
    """Let the one other axis of a table count new channels; False where there is no such axis."""
    table, output = node.inputs[0], node.outputs[0]
    shape = linker.shape(table)
    others = [other for other, size in enumerate(shape) if size > 1 and other != axis]
    if not linker.looks_up(node) or len(others) != 1:
        return False
    (own,) = others
    ids = linker.fresh(shape[own])
    linker.use(table, own, ids, "vector", node)
    linker.freeze_tensor(node.inputs[1], f"{told(node)} reads it as places")
    grown = len(linker.shape(output)) - len(shape)
    linker.set(output, own + (grown if own > axis else 0), ids)
    return True


def _pads(node: Node, value: Value, rank: int) -> IntArray | None:
    """Elements added at the begin and at the end of each axis, [2, rank]."""
    if len(node.inputs) == 1:
        return np.array(node.ints_attribute("pads"), np.int64).reshape(2, rank)
    given = value(node.inputs[1])
    axes = value(node.input(3)) if node.input(3) else np.arange(rank)
    if given is None or axes is None:
        return None
    pads = np.zeros((2, rank), np.int64)
    pads[:, np.asarray(axes) % rank] = np.asarray(given).reshape(2, -1)
    return pads


def _pad_resize(node: Node, kept: Kept) -> Changes:
    """As many channels added as are left of the added ones."""
    found = kept.along(node.outputs[0])
    rank = len(kept.model.shapes[node.inputs[0]])
    pads = _pads(node, kept.value, rank)
    if found is None or pads is None:
        return Changes()
    axis, mask = found
    begin, end = pads[:, axis]
    if not (begin or end):
        return Changes()
    pads[0, axis] = mask[:begin].sum()
    pads[1, axis] = mask[mask.size - end :].sum()
    if len(node.inputs) == 1:
        return Changes({"pads": tuple(int(value) for value in pads.reshape(-1))})
    given = kept.value(node.inputs[1])
    named = kept.value(node.input(3)) if node.input(3) else np.arange(rank)
    assert given is not None
    assert named is not None
    return input_changed(node, kept, 1, given, pads[:, np.asarray(named) % rank].reshape(-1))


@couples("Pad", resize=_pad_resize)
def pad(linker: Linker, node: Node) -> None:
    """Added channels are channels of their own, as in the shortcuts of CIFAR ResNets."""
    source, output = node.inputs[0], node.outputs[0]
    found = linker.channels[source]
    rank = len(linker.shape(source))
    pads = _pads(node, linker.value, rank)
    if found.axis is None:
        return linker.pass_frozen(source, output, f"{told(node)} pads it")
    if pads is None:
        if linker.shape(output)[found.axis] == found.ids.size:
            return linker.set(output, found.axis, found.ids)
        reason = f"{told(node)} pads by amounts known only at run time"
        return linker.pass_frozen(source, output, reason)
    begin, end = (int(value) for value in pads[:, found.axis])
    if begin == end == 0:
        return linker.set(output, found.axis, found.ids)
    if node.str_attribute("mode", "constant") != "constant" or begin < 0 or end < 0:
        return linker.pass_frozen(source, output, f"{told(node)} repeats or drops channels")
    ids = np.concatenate([linker.fresh(begin), found.ids, linker.fresh(end)])
    return linker.set(output, found.axis, ids)


@couples("Tile")
def tile(linker: Linker, node: Node) -> None:
    """Channels once more for each repeat."""
    source, output = node.inputs[0], node.outputs[0]
    found = linker.channels[source]
    if found.axis is None:
        return linker.pass_frozen(source, output, f"{told(node)} repeats it")
    size = linker.shape(output)[found.axis]
    return linker.set(output, found.axis, np.tile(found.ids, size // max(found.ids.size, 1)))
