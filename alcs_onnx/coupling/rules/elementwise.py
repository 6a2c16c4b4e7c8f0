"""Operators that work element by element, with broadcasting, and those on one tensor."""

from __future__ import annotations

import numpy as np

from alcs_onnx.coupling.linker import Linker
from alcs_onnx.coupling.rules.registry import Changes, Kept, couples, input_changed
from alcs_onnx.graph import Node, told
from alcs_onnx.op_traits import BROADCAST, UNARY


@couples(*UNARY, needs_shapes=False)
def unary(linker: Linker, node: Node) -> None:
    """The output has the input's channels; further inputs (limits, ratios) are scalars."""
    found = linker.channels[node.inputs[0]]
    for output in node.outputs:
        linker.set(output, found.axis, found.ids)


@couples(*BROADCAST, reads_first=False)
def elementwise(linker: Linker, node: Node) -> None:
    """Operands share their channels: a residual Add, a squeeze-and-excitation Mul, a PRelu.

    A constant loses the positions of removed channels. An operand that is broadcast over the
    channels says nothing about them, but cannot lose its own one.
    """
    output = node.outputs[0]
    rank = len(linker.shape(output))
    operands = [name for name in dict.fromkeys(node.inputs) if name]
    axes: dict[str, int] = {}  # operand -> where its channels lie in the output
    for name in operands:
        found = linker.channels.get(name)
        if found is not None and found.axis is not None:
            axes[name] = found.axis + rank - len(linker.shape(name))
    size = linker.shape(output)
    wide = {name: axis for name, axis in axes.items() if _size(linker, name, axis, rank) > 1}
    for name in axes.keys() - wide.keys():
        if size[axes[name]] > 1:
            linker.freeze_tensor(name, f"{told(node)} broadcasts it over other channels")
        else:
            wide[name] = axes[name]  # a single channel on both sides
    if not wide:
        return _without_channels(linker, node, operands)
    axis = next(iter(wide.values()))
    if len(set(wide.values())) > 1:
        for name in wide:
            linker.freeze_tensor(name, f"{told(node)} combines different axes of channels")
        return linker.set_frozen(output, f"{told(node)} combines different axes of channels")
    first = next(iter(wide))
    ids = linker.channels[first].ids
    linker.set(output, axis, ids)
    for name in operands:
        if name == first:
            continue
        if name in wide:
            linker.link(ids, linker.channels[name].ids)
        elif _size(linker, name, axis, rank) == 1:
            if not linker.is_constant(name) and size[axis] > 1:
                linker.freeze_tensor(name, f"{told(node)} broadcasts it over other channels")
        elif linker.is_constant(name):
            role = "scale" if node.is_op("Mul") else "vector"
            linker.use(name, axis - rank + len(linker.shape(name)), ids, role, node)
        else:
            what = "is made of sizes" if name in linker.sizes else "has a fixed size"
            linker.freeze(ids, f"{told(node)} combines them with '{name}', which {what}")
    return None


def _without_channels(linker: Linker, node: Node, operands: list[str]) -> None:
    """No operand has an axis of channels: what the others come from stays as it is."""
    known = [name for name in operands if name in linker.channels]
    if not known:
        return linker.set_frozen(node.outputs[0], f"{told(node)} works on constants")
    for name in known:
        linker.pass_frozen(name, node.outputs[0], f"{told(node)} cannot follow its channels")
    return None


def _size(linker: Linker, name: str, axis: int, rank: int) -> int:
    """Size of an operand along an axis of the output; 1 where it has no such axis."""
    shape = linker.shape(name)
    own = axis - rank + len(shape)
    return shape[own] if own >= 0 else 1


def _quantise(linker: Linker, node: Node) -> None:
    """Scales and zero points along `axis` go with its positions."""
    source, output = node.inputs[0], node.outputs[0]
    if linker.is_constant(output):
        return  # a dequantised weight: whoever reads it says what its axes are
    found = linker.channels[source]
    linker.set(output, found.axis, found.ids)
    rank = len(linker.shape(source))
    axis = node.int_attribute("axis", 1) % max(rank, 1)
    for name in node.inputs[1:]:
        if not name or linker.shape(name) in ((), (1,)) or found.axis is None:
            continue
        if linker.is_constant(name) and axis == found.axis and len(linker.shape(name)) == 1:
            linker.use(name, 0, found.ids, "vector", node)
        else:
            linker.freeze(found.ids, f"{told(node)} has scales that do not go by channel")


couples("QuantizeLinear")(_quantise)
couples("DequantizeLinear", reads_first=False)(_quantise)


def _expand_resize(node: Node, kept: Kept) -> Changes:
    """The target counts the channels that are left."""
    found = kept.along(node.outputs[0])
    if found is None:
        return Changes()
    axis, mask = found
    full = kept.model.shapes[node.outputs[0]]
    target = kept.value(node.inputs[1])
    if target is None:
        target = np.array(full[len(full) - kept.model.shapes[node.inputs[1]][0] :], np.int64)
    own = axis - len(full) + target.size
    if own < 0 or target[own] == 1:
        return Changes()
    after = target.copy()
    after[own] = int(mask.sum())
    return input_changed(node, kept, 1, target, after)


@couples("Expand", resize=_expand_resize)
def expand(linker: Linker, node: Node) -> None:
    """Broadcasting to a shape, also one that is computed: channels stay where they are."""
    source, output = node.inputs[0], node.outputs[0]
    found = linker.channels[source]
    if found.axis is None:
        return linker.pass_frozen(source, output, f"{told(node)} expands it to a shape of its own")
    axis = found.axis + len(linker.shape(output)) - len(linker.shape(source))
    if linker.shape(output)[axis] != found.ids.size:
        return linker.pass_frozen(source, output, f"{told(node)} broadcasts it over other channels")
    return linker.set(output, axis, found.ids)
