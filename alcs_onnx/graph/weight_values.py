"""Numbers in the weights of layers that spoil or slow what is computed with them.

Training with weight decay leaves numbers below the smallest normal float32. They change no result
that anyone sees, and a processor takes many times as long for each product with one.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from alcs_onnx.graph.macs import MACS
from alcs_onnx.graph.model import Array, Model, Node
from alcs_onnx.types import BoolArray

#: The smallest normal float32, 1.18e-38.
_TINY = np.finfo(np.float32).tiny
#: Numbers that are looked at at once.
_PART = 1 << 20


def flush_subnormals(model: Model) -> tuple[Model, int]:
    """The model with zeros for the subnormal float32 weights of its layers, and how many there are.

    Only in what nothing but layers read, as their weights: a tiny constant elsewhere may be there
    to keep a division from zero.
    """
    zeroed: dict[str, Array] = {}
    count = 0
    for name, array in _weights(model):
        alone = all(_reads_as_weight(node, name) for node in model.consumers(name))
        if array.dtype != np.float32 or model.is_output(name) or not alone:
            continue
        found = sum(int(np.count_nonzero(_subnormal(part))) for part in _parts(array))
        if found:
            zeroed[name] = np.where(_subnormal(array), np.float32(0), array)
            count += found
    return (model.with_initializers(zeroed), count) if zeroed else (model, 0)


def not_finite(model: Model) -> tuple[str, ...]:
    """The weights of layers, by initializer, that hold NaN or infinity."""
    return tuple(
        name
        for name, array in _weights(model)
        if array.dtype.kind == "f" and not all(np.isfinite(part).all() for part in _parts(array))
    )


def _subnormal(array: Array) -> BoolArray:
    return np.asarray((array != 0) & (np.abs(array) < _TINY))


def _parts(array: Array) -> Iterator[Array]:
    """The numbers some at a time, so that large weights, which may be mapped, are not copied."""
    numbers = array.reshape(-1)
    return (numbers[at : at + _PART] for at in range(0, numbers.size, _PART))


def _weights(model: Model) -> Iterator[tuple[str, Array]]:
    """The constants that layers read as their weights."""
    for name, array in model.initializers.items():
        if any(_reads_as_weight(node, name) for node in model.consumers(name)):
            yield name, array


def _reads_as_weight(node: Node, name: str) -> bool:
    rule = MACS.get((node.domain, node.op_type))
    if rule is None or rule.weight is None:
        return False
    return node.inputs.count(name) == 1 and node.input(rule.weight) == name
