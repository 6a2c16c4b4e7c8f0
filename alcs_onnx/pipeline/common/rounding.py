"""int8 whose weights are rounded by what the layers' outputs lose, layer after layer."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from alcs_onnx.data import Samples, first_batches
from alcs_onnx.errors import AlcsError
from alcs_onnx.graph import Model, as_float32, conv_layers, free_batch, load_model, loadable
from alcs_onnx.graph.model import Array
from alcs_onnx.ort import Feeds
from alcs_onnx.posttraining import Grid, Integers, RoundedLayer, round_in_order
from alcs_onnx.quantization import (
    LEAST_OPSET,
    Quantized,
    QuantizeOptions,
    Ranges,
    StoredLayer,
    quantize,
    stored_layers,
    with_float_constants,
    with_integers,
)
from alcs_onnx.reporter import Reporter
from alcs_onnx.serialized import Serialized
from alcs_onnx.types import IntArray

#: Pictures that layers are rounded by, at most.
_PICTURES = 64


@dataclass(frozen=True, eq=False)
class ToRound:
    """The float `model`, its file `source`, and how nodes of it become int8: see `quantize`."""

    model: Model
    source: Serialized
    ranges: Ranges
    tensors: Collection[str] | None
    options: QuantizeOptions


def rounded(work: ToRound, pictures: Samples, seed: int, reporter: Reporter) -> Quantized:
    """The quantized file whose convolutions have the integers that `pictures` say are best."""
    quantized = quantize(work.source, work.ranges, work.tensors, work.options)
    if not quantized.nodes:
        return quantized
    dense = free_batch(as_float32(work.model.detached())).model
    again = quantize(loadable(dense, LEAST_OPSET), work.ranges, work.tensors, work.options)
    network = free_batch(as_model(again.model, dense)).model
    names = {node.outputs[0]: node.name for node in dense.nodes if node.outputs}
    layers = {layer.name: layer for layer in conv_layers(dense)}
    stored = {
        names[layer.output]: layer
        for layer in stored_layers(again, network, work.options)
        if names.get(layer.output) in layers
    }

    def fed() -> Iterator[Feeds]:
        return (batch.feeds for batch in first_batches(dense, pictures, _PICTURES))

    found = round_in_order(
        dense,
        with_float_constants(network),
        {
            name: _to_round(layer, dense.initializers[layers[name].weight], layers[name].group)
            for name, layer in stored.items()
        },
        fed,
        seed=seed,
        reporter=reporter,
    )
    written = stored_layers(quantized, as_model(quantized.model, work.model), work.options)
    there = {names.get(layer.output): layer for layer in written}
    integers: dict[str, IntArray] = {}
    for name, values in found.items():
        if name in there:
            integers |= _integers(values, stored[name], there[name])
    return with_integers(quantized, integers)


def as_model(data: Serialized, model: Model) -> Model:
    """A file made of `model`, loaded; raises `AlcsError` beyond 2 GB."""
    if not isinstance(data, bytes):
        raise AlcsError("models above 2 GB cannot be quantized")
    shapes = {info.name: info.shape for info in model.inputs}
    with tempfile.TemporaryDirectory(prefix="alcs-", ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(data)
        return load_model(path, shapes, needs_conv=False)


def _to_round(layer: StoredLayer, weight: Array, group: int) -> RoundedLayer:
    """How `layer` is rounded, whose dense weight is [M, C/G, *kernel]: zeros stay zeros."""
    steps = layer.steps.reshape(group, -1)
    kept = None if weight.all() else (weight != 0).reshape(*steps.shape, -1)
    grid = Grid(steps, -layer.most, layer.most, kept=kept)
    return RoundedLayer(layer.node, grid, layer.bias_steps)


def _integers(values: Integers, here: StoredLayer, there: StoredLayer) -> dict[str, IntArray]:
    """What was found in the steps of `here` for the layer that is `there`, by name.

    The file that is written may have nodes that were taken out of the graph in which layers are
    rounded, such as Identity: names and the steps of activations, and so of biases, may differ.
    """
    if not np.array_equal(here.steps, there.steps):
        return {}
    found = {there.weight: values.weight}
    if values.bias is not None and here.bias_steps is not None and there.bias_steps is not None:
        ends = np.iinfo(np.int32)
        bias = np.rint(values.bias * here.bias_steps / there.bias_steps)
        found[there.bias] = np.clip(bias, ends.min, ends.max).astype(np.int64)
    return found
