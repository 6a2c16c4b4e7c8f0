"""What is computed from sizes: the numbers of Shape and Size, and all that is made of them alone.

Exporters write chains of Shape, Gather, Mul, Concat in front of a Reshape. Such a chain has one
value at the measured sizes of the inputs and another at the other sizes; a number in it that no
size changes is a constant of the model, whatever sizes it is run at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from alcs_onnx.graph.evaluate import computable, evaluate, read_sizes
from alcs_onnx.graph.model import Array, Model, Node, SizeValue
from alcs_onnx.types import Shape

#: Numbers in a tensor up to which it is taken for a size rather than for data.
_LARGEST = 4096

#: Put numbers in other places and leave them as they are: which inputs carry the numbers.
_MOVEMENT: Mapping[str, slice] = {
    "Cast": slice(1),
    "Concat": slice(None),
    "Gather": slice(1),
    "Identity": slice(1),
    "Reshape": slice(1),
    "Slice": slice(1),
    "Split": slice(1),
    "Squeeze": slice(1),
    "Transpose": slice(1),
    "Unsqueeze": slice(1),
}


class Values(NamedTuple):
    """The value at each set of input sizes, and which numbers of it are not always the same."""

    at: tuple[Array, ...]
    varies: Array

    @property
    def same_shape(self) -> bool:
        """Whether there are always as many numbers."""
        return len({array.shape for array in self.at}) == 1

    @property
    def fixed(self) -> bool:
        """Whether the value is always the same."""
        return self.same_shape and not self.varies.any()


def size_values(
    model: Model, shapes: Sequence[Mapping[str, Shape]], known: Mapping[str, Values]
) -> dict[str, Values]:
    """All tensors of `model` that are computed from sizes and constants alone.

    `shapes` are those of all tensors, at each set of input sizes; `known` what was found before
    some of them were. Tensors that no size goes into are left out.
    """
    found = dict(known)
    for node in model.nodes:
        if node.outputs and node.outputs[0] in found:
            continue
        if node.is_op("Shape", "Size"):
            sizes = [at[node.inputs[0]] for at in shapes if node.inputs[0] in at]
            arrays = tuple(read_sizes(node, given) for given in sizes)
            if len(arrays) == len(shapes) and len({a.shape for a in arrays}) == 1:
                found[node.outputs[0]] = Values(arrays, _differing(arrays))
        elif _of_sizes(node, model, found):
            found |= _computed(node, model, found)
    return found


def values_of_sizes(model: Model, shapes: Mapping[str, Shape]) -> dict[str, Array]:
    """The value of every tensor of `model` that is computed from sizes and constants alone.

    `shapes` are those of the tensors that a Shape or Size reads. What depends on one that is not
    known, or on an operator that cannot be computed, is absent.
    """
    return {name: found.at[0] for name, found in size_values(model, [shapes], {}).items()}


def as_size_values(found: Mapping[str, Values]) -> dict[str, SizeValue]:
    """The same as the model keeps it: at the measured sizes."""
    return {
        name: SizeValue(values.at[0], values.varies, values.fixed) for name, values in found.items()
    }


def _differing(arrays: Sequence[Array]) -> Array:
    """Where not all of `arrays` have the same number."""
    first = arrays[0]
    if any(array.shape != first.shape for array in arrays):
        return np.ones(first.shape, np.bool_)
    return np.asarray(np.any([array != first for array in arrays], axis=0))


def _of_sizes(node: Node, model: Model, found: Mapping[str, Values]) -> bool:
    present = [name for name in node.inputs if name]
    if not computable(node, model.opset) or not any(name in found for name in present):
        return False
    return all(
        name in found or (name in model.initializers and model.initializers[name].size <= _LARGEST)
        for name in present
    )


def _computed(node: Node, model: Model, found: Mapping[str, Values]) -> dict[str, Values]:
    present = [name for name in node.inputs if name]
    changing = any(not found[name].fixed for name in present if name in found)
    count = len(next(iter(found.values())).at) if changing else 1
    names = [name for name in node.outputs if name]
    try:
        results = [
            evaluate(
                node,
                {n: found[n].at[i] if n in found else model.initializers[n] for n in present},
                model.opset,
            )
            for i in range(count)
        ]
        masks = _masks(node, model, found) if changing else None
    except Exception:  # the evaluator raises whatever an operator raises: then it stays unknown
        return {}
    sets = len(next(iter(found.values())).at)
    values = {}
    for index, name in enumerate(names):
        at = tuple(result[index] for result in results)
        if at[0].size > _LARGEST:
            continue
        if not changing:
            values[name] = Values(at * sets, np.zeros(at[0].shape, np.bool_))
        elif masks is None:
            values[name] = Values(at, np.ones(at[0].shape, np.bool_))
        else:
            values[name] = Values(at, masks[index])
    return values


def _masks(node: Node, model: Model, found: Mapping[str, Values]) -> list[Array] | None:
    """Which numbers of the outputs vary, where they are those of the inputs; None elsewhere.

    The operator itself moves the marks as it moves the numbers.
    """
    carried = _MOVEMENT.get(node.op_type)
    if carried is None:
        return None
    data = {name for name in node.inputs[carried] if name}
    others = [name for name in node.inputs if name and name not in data]
    if any(name in found and not found[name].fixed for name in others):
        return None
    if any(name in found and not found[name].same_shape for name in data):
        return None
    inputs: dict[str, Array] = {}
    for name in (*data, *others):
        values = found.get(name)
        array = model.initializers[name] if values is None else values.at[0]
        if name in data:
            varies = np.zeros(array.shape, np.bool_) if values is None else values.varies
            array = varies.astype(array.dtype)
        inputs[name] = array
    return [array.astype(np.bool_) for array in evaluate(node, inputs, model.opset)]
