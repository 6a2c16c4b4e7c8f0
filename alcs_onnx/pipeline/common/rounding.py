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
from alcs_onnx.ort import Feeds
from alcs_onnx.posttraining import Grid, RoundedLayer, round_in_order
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
    if not isinstance(again.model, bytes):
        raise AlcsError("models above 2 GB cannot be rounded layer by layer")
    network = _loaded(again.model, dense)
    names = {node.outputs[0]: node.name for node in dense.nodes if node.outputs}
    groups = {layer.name: layer.group for layer in conv_layers(dense)}
    stored = {
        names[layer.output]: layer
        for layer in stored_layers(again, network, work.options)
        if names.get(layer.output) in groups
    }

    def fed() -> Iterator[Feeds]:
        return (batch.feeds for batch in first_batches(dense, pictures, _PICTURES))

    found = round_in_order(
        dense,
        with_float_constants(network),
        {name: _to_round(layer, groups[name]) for name, layer in stored.items()},
        fed,
        seed=seed,
        reporter=reporter,
    )
    integers = {}
    for name, values in found.items():
        integers[stored[name].weight] = values.weight
        if values.bias is not None:
            ends = np.iinfo(np.int32)
            integers[stored[name].bias] = np.clip(values.bias, ends.min, ends.max)
    return with_integers(quantized, integers)


def _to_round(layer: StoredLayer, group: int) -> RoundedLayer:
    grid = Grid(layer.steps.reshape(group, -1), -layer.most, layer.most)
    return RoundedLayer(layer.node, grid, layer.bias_steps)


def _loaded(data: bytes, dense: Model) -> Model:
    """A file for as many samples at once as `dense` takes."""
    shapes = {info.name: info.shape for info in dense.inputs}
    with tempfile.TemporaryDirectory(prefix="alcs-", ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(data)
        return free_batch(load_model(path, shapes, needs_conv=False)).model
