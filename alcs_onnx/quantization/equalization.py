"""Cross-layer equalization: channels of adjacent convolutions get weights of like size.

Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction" (2019), eq.
7 to 9. For an activation f with f(s x) = s f(x) for s > 0 and a channel i between two convolutions

    W2[:, i] f(W1[i] x + b1[i])  =  (s W2[:, i]) f((W1[i] x + b1[i]) / s)

so that s may be chosen freely: with r1 = max |W1[i]| and r2 = max |W2[:, i]| it is sqrt(r1 / r2),
which makes both ranges sqrt(r1 r2). Pairs follow one another, and each changes its neighbours: they
are gone through until nothing changes much.

Between the two there may be Relu or LeakyRelu, and nothing else: a Clip with an upper bound, such
as ReLU6, would need another bound for each channel, and layers that meet it are left as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alcs_onnx.graph.model import Array, Model, Node

_HOMOGENEOUS = ("Relu", "LeakyRelu")
_MAX_ROUNDS = 40
#: Factors nearer to 1 than this change nothing that matters.
_SETTLED = 1e-3


@dataclass(frozen=True)
class _Pair:
    """Two convolutions of which the second alone reads what the first computes."""

    first: Node
    second: Node


def equalized(model: Model) -> Model:
    """The model with such pairs of layers rescaled; it computes the same.

    Layers are convolutions with constant float32 weights that nothing else reads. Where there is
    no pair the model is itself.
    """
    pairs = list(_pairs(model))
    arrays = {
        name: model.initializers[name].astype(np.float64)
        for pair in pairs
        for name in (*pair.first.inputs[1:], pair.second.inputs[1])
        if name
    }
    for _ in range(_MAX_ROUNDS):
        settled = [_settle(pair, arrays) for pair in pairs]
        if all(settled):
            break
    return model.with_initializers(arrays) if pairs else model


def _pairs(model: Model) -> Iterator[_Pair]:
    for first in model.nodes:
        if not _is_layer(model, first):
            continue
        tensor = first.outputs[0]
        while (reader := _only_reader(model, tensor)) is not None and reader.is_op(*_HOMOGENEOUS):
            tensor = reader.outputs[0]
        if reader is not None and _is_layer(model, reader) and reader.inputs[0] == tensor:
            yield _Pair(first, reader)


def _only_reader(model: Model, tensor: str) -> Node | None:
    readers = model.consumers(tensor)
    return readers[0] if len(readers) == 1 and not model.is_output(tensor) else None


def _is_layer(model: Model, node: Node) -> bool:
    return node.is_op("Conv") and all(
        (array := model.initializers.get(name)) is not None
        and array.dtype == np.float32
        and len(model.consumers(name)) == 1
        and not model.is_output(name)
        and np.isfinite(array).all()
        for name in node.inputs[1:]
        if name
    )


def _settle(pair: _Pair, arrays: dict[str, Array]) -> bool:
    """Rescale the channels between a pair; whether that changed next to nothing."""
    one, two = arrays[pair.first.inputs[1]], arrays[pair.second.inputs[1]]
    group = pair.second.int_attribute("group", 1)
    grouped = two.reshape(group, -1, *two.shape[1:])  # [groups, outputs, inputs, *kernel]
    range_1 = np.abs(one).reshape(len(one), -1).max(1)
    range_2 = np.abs(grouped).max((1, *range(3, grouped.ndim))).reshape(-1)
    scale: npt.NDArray[np.float64] = np.ones(len(one))
    alive = (range_1 > 0) & (range_2 > 0)
    scale[alive] = np.sqrt(range_1[alive] / range_2[alive])
    arrays[pair.first.inputs[1]] = one / scale.reshape(-1, *(1,) * (one.ndim - 1))
    bias = pair.first.input(2)
    if bias:
        arrays[bias] = arrays[bias] / scale
    columns = scale.reshape(group, 1, -1, *(1,) * (two.ndim - 2))
    arrays[pair.second.inputs[1]] = (grouped * columns).reshape(two.shape)
    return bool(np.abs(np.log(scale)).max(initial=0) < _SETTLED)
