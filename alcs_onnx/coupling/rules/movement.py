"""Operators that move whole channels: their constants count and number channels."""

from __future__ import annotations

import numpy as np

from alcs_onnx.coupling.linker import Linker, told
from alcs_onnx.coupling.rules.axes import named_axes
from alcs_onnx.coupling.rules.registry import Changes, Kept, couples
from alcs_onnx.graph import Model, Node
from alcs_onnx.types import IntArray


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
    if kept.model.opset >= 13:
        return Changes(inputs={1: np.array(axes, np.int64)})
    return Changes({"axes": axes})


@couples("Squeeze", resize=_squeeze_resize)
def squeeze(linker: Linker, node: Node) -> None:
    """Axes of size 1 go; that of a single channel with them."""
    source = linker.shape(node.inputs[0])
    named = named_axes(linker.model, node, len(source))
    axes = named or tuple(axis for axis, size in enumerate(source) if size == 1)
    found = linker.channels[node.inputs[0]]
    if found.axis is None or found.axis in axes or named is None:
        linker.freeze_tensor(node.inputs[0], f"{told(node)} drops the axis of its only channel")
        return linker.set_frozen(node.outputs[0], f"{told(node)} drops the axis of channels")
    return _pass_on(linker, node, found.axis - sum(axis < found.axis for axis in axes))


@couples("Unsqueeze")
def unsqueeze(linker: Linker, node: Node) -> None:
    """Axes of size 1 come in between."""
    found = linker.channels[node.inputs[0]]
    rank = len(linker.shape(node.outputs[0]))
    axes = named_axes(linker.model, node, rank)
    if axes is None:
        linker.freeze_tensor(node.inputs[0], f"{told(node)} gets its axes at run time")
        return linker.set_frozen(node.outputs[0], f"{told(node)} gets its axes at run time")
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


def _parts(linker: Linker, node: Node) -> tuple[int, list[int]]:
    """The axis of a Split, and the sizes of its outputs."""
    axis = node.int_attribute("axis", 0) % len(linker.shape(node.inputs[0]))
    return axis, [linker.shape(name)[axis] for name in node.outputs]


def _split_resize(node: Node, kept: Kept) -> Changes:
    """Sizes are given explicitly, since equal parts need not stay equal."""
    found = kept.along(node.inputs[0])
    axis = node.int_attribute("axis", 0) % len(kept.model.shapes[node.inputs[0]])
    if found is None or found[0] != axis:
        return Changes()
    sizes = np.array([kept.shape(name)[axis] for name in node.outputs], dtype=np.int64)
    if kept.model.opset >= 13:
        return Changes(inputs={1: sizes}, drop_attributes=("num_outputs",))
    return Changes({"split": tuple(int(size) for size in sizes)})


@couples("Split", resize=_split_resize)
def split(linker: Linker, node: Node) -> None:
    """Each output has its part of the channels, or all of them."""
    found = linker.channels[node.inputs[0]]
    axis, sizes = _parts(linker, node)
    start = 0
    for name, size in zip(node.outputs, sizes, strict=True):
        if found.axis == axis:
            linker.set(name, axis, found.ids[start : start + size])
        else:
            linker.set(name, found.axis, found.ids)
        start += size


def _slices(node: Node, model: Model) -> dict[int, slice] | None:
    """What a Slice takes of each axis; None where that is decided at run time."""
    rank = len(model.shapes[node.inputs[0]])
    if len(node.inputs) > 1:
        given = [model.initializers.get(name) if name else None for name in node.inputs[1:]]
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
    """Begin and end where the channels that are left begin and end."""
    found = kept.along(node.inputs[0])
    slices = _slices(node, kept.model)
    if found is None or slices is None or found[0] not in slices:
        return Changes()
    axis, mask = found
    begin, end, _ = slices[axis].indices(mask.size)
    cut = (int(mask[:begin].sum()), int(mask[:end].sum()))
    order = list(slices)
    starts = [cut[0] if a == axis else slices[a].start for a in order]
    ends = [cut[1] if a == axis else slices[a].stop for a in order]
    if len(node.inputs) > 1:
        made: dict[int, IntArray] = {1: np.array(starts, np.int64), 2: np.array(ends, np.int64)}
        return Changes(inputs={**made, 3: np.array(order, np.int64)})
    return Changes({"starts": tuple(starts), "ends": tuple(ends), "axes": tuple(order)})


@couples("Slice", resize=_slice_resize)
def slice_(linker: Linker, node: Node) -> None:
    """A run of channels, or all of them."""
    source, output = node.inputs[0], node.outputs[0]
    found = linker.channels[source]
    slices = _slices(node, linker.model)
    if slices is None or found.axis is None:
        what = "cuts at places known only at run time" if slices is None else "cuts it in pieces"
        linker.freeze_tensor(source, f"{told(node)} {what}")
        return linker.set_frozen(output, f"{told(node)} {what}")
    cut = slices.get(found.axis, slice(None))
    if cut.step not in (None, 1):
        linker.freeze(found.ids, f"{told(node)} takes every {cut.step}. channel")
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
    """Channels in another order, some of them perhaps twice or not at all."""
    source, output = node.inputs[0], node.outputs[0]
    indices = linker.model.initializers.get(node.inputs[1])
    found = linker.channels.get(source)
    reason = f"{told(node)} looks up channels"
    if indices is None or found is None or found.axis is None:
        for name in node.inputs:
            linker.freeze_tensor(name, reason)
        return linker.set_frozen(output, reason)
    axis = node.int_attribute("axis", 0) % len(linker.shape(source))
    if axis != found.axis:
        moved = found.axis if found.axis < axis else found.axis + indices.ndim - 1
        return linker.set(output, moved, found.ids)
    if indices.ndim != 1:
        linker.freeze(found.ids, reason)
        return linker.set_frozen(output, reason)
    return linker.set(output, axis, found.ids[indices])


def _pads(node: Node, model: Model, rank: int) -> IntArray | None:
    """Elements added at the begin and at the end of each axis, [2, rank]."""
    if len(node.inputs) == 1:
        return np.array(node.ints_attribute("pads"), np.int64).reshape(2, rank)
    given = model.initializers.get(node.inputs[1])
    axes = model.initializers.get(node.input(3)) if node.input(3) else np.arange(rank)
    if given is None or axes is None:
        return None
    pads = np.zeros((2, rank), np.int64)
    pads[:, np.asarray(axes) % rank] = np.asarray(given).reshape(2, -1)
    return pads


def _pad_resize(node: Node, kept: Kept) -> Changes:
    """As many channels added as are left of the added ones."""
    found = kept.along(node.outputs[0])
    rank = len(kept.model.shapes[node.inputs[0]])
    pads = _pads(node, kept.model, rank)
    if found is None or pads is None:
        return Changes()
    axis, mask = found
    begin, end = pads[:, axis]
    if not (begin or end):
        return Changes()
    pads[0, axis] = mask[:begin].sum()
    pads[1, axis] = mask[mask.size - end :].sum()
    flat = tuple(int(value) for value in pads.reshape(-1))
    if len(node.inputs) == 1:
        return Changes({"pads": flat})
    drop = (3,) if node.input(3) else ()
    return Changes(inputs={1: np.array(flat, np.int64)}, drop_inputs=drop)


@couples("Pad", resize=_pad_resize)
def pad(linker: Linker, node: Node) -> None:
    """Added channels are channels of their own, as in the shortcuts of CIFAR ResNets."""
    source, output = node.inputs[0], node.outputs[0]
    found = linker.channels[source]
    rank = len(linker.shape(source))
    pads = _pads(node, linker.model, rank)
    if pads is None or found.axis is None:
        linker.freeze_tensor(source, f"{told(node)} pads by amounts known only at run time")
        return linker.set_frozen(output, f"{told(node)} pads by amounts known only at run time")
    begin, end = (int(value) for value in pads[:, found.axis])
    if begin == end == 0:
        return linker.set(output, found.axis, found.ids)
    if node.str_attribute("mode", "constant") != "constant" or begin < 0 or end < 0:
        linker.freeze(found.ids, f"{told(node)} repeats or drops channels")
        return linker.set_frozen(output, f"{told(node)} repeats or drops channels")
    ids = np.concatenate([linker.fresh(begin), found.ids, linker.fresh(end)])
    return linker.set(output, found.axis, ids)


@couples("Tile")
def tile(linker: Linker, node: Node) -> None:
    """Channels once more for each repeat."""
    source, output = node.inputs[0], node.outputs[0]
    found = linker.channels[source]
    repeats = linker.model.initializers.get(node.inputs[1])
    if repeats is None or found.axis is None:
        linker.freeze_tensor(source, f"{told(node)} repeats it")
        return linker.set_frozen(output, f"{told(node)} repeats something unknown")
    return linker.set(output, found.axis, np.tile(found.ids, int(repeats[found.axis])))
