"""The models that are timed: where they come from, and their pruned variants."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from alcs_onnx.errors import ModelError
from alcs_onnx.graph import Model, conv_layers, load_model, loadable, model_macs
from alcs_onnx.input_settings import InputSettings
from alcs_onnx.ort import Feeds
from alcs_onnx.pipeline.common.integers import IntegerNetwork
from alcs_onnx.pipeline.common.runnable import shapes_of
from alcs_onnx.quantization import (
    LEAST_OPSET,
    QuantizeOptions,
    calibrate,
    products_overflow,
)
from alcs_onnx.rewrite import as_quantized, random_groups, random_model
from alcs_onnx.structures import get_structure

_TOPOLOGIES = Path(__file__).resolve().parents[2] / "reproduce"


@dataclass(frozen=True)
class Pruned:
    """A model at a density, its groups of `group_size` kept at random.

    The first convolution and depthwise ones stay dense. `sparse` is for this engine; `zeros`
    are the same weights as an ordinary model with zeros in it.
    """

    density: float
    group_size: int
    mac_ratio: float
    #: Kept / all weights of each convolution.
    densities: dict[str, float]
    sparse: Model
    zeros: Model

    @property
    def label(self) -> str:
        """Density and group size."""
        return f"d={self.density:g} g={self.group_size}"


def load(name: str, seed: int, inputs: InputSettings | None = None) -> Model:
    """A topology by name, with random weights, or an ONNX file by its path."""
    path = Path(name)
    if path.suffix == ".onnx" or path.exists():
        return load_model(path, shapes_of(path, inputs or InputSettings()))
    if str(_TOPOLOGIES) not in sys.path:
        sys.path.append(str(_TOPOLOGIES))
    try:
        from topologies import TOPOLOGIES, export
    except ImportError as error:
        raise ModelError(f"topology '{name}' cannot be made: {error}") from error
    if name not in TOPOLOGIES:
        raise ModelError(f"'{name}' is no ONNX file and none of {', '.join(sorted(TOPOLOGIES))}")
    with tempfile.TemporaryDirectory() as folder:
        return load_model(export(name, Path(folder) / "dense.onnx", seed))


def stem(model: Model) -> str:
    """Name of the first convolution."""
    return conv_layers(model)[0].name


def prune(model: Model, density: float, group_size: int, seed: int) -> Pruned:
    """The variants of `model` at `density`, from one random choice of groups."""
    densities = {
        layer.name: 1.0 if layer.name == stem(model) or layer.depthwise else density
        for layer in conv_layers(model)
    }
    result = random_model(model, densities, group_size, seed)
    zeros = random_model(model, densities, group_size, seed, excluded=list(densities))
    return Pruned(
        density,
        group_size,
        result.mac_ratio,
        {row.layer: row.density for row in result.layers},
        result.model,
        zeros.model,
    )


def quantized(model: Model, feeds: Feeds) -> IntegerNetwork:
    """ONNX Runtime's static quantization of `model`: all that can be int8, with such ranges."""
    alone = model.detached()
    ranges = calibrate(loadable(alone, LEAST_OPSET), [feeds])
    return IntegerNetwork.of(alone, ranges, QuantizeOptions(reduce_range=products_overflow()))


def prune_int8(
    network: IntegerNetwork, model: Model, density: float, rows: int, seed: int
) -> Pruned:
    """The variants of `network`, which is of `model`, with random blocks of `rows` channels kept.

    The same layers stay dense as in `prune`.
    """
    structure = get_structure("block", rows)
    layers = {
        layer.name: layer
        for layer in conv_layers(model)
        if layer.name in network.levels and layer.name not in network.left
    }
    masks = {
        name: structure.weight_mask(random_groups(layer, structure, density, (seed, index)), layer)
        for index, (name, layer) in enumerate(layers.items())
        if name != stem(model) and not layer.depthwise
    }
    densities = dict.fromkeys(layers, 1.0) | {name: masks[name].mean() for name in masks}
    removed = sum((1 - densities[name]) * layer.macs for name, layer in layers.items())
    sparse = network.masked(masks, {}).model
    return Pruned(
        density,
        rows,
        1 - removed / model_macs(model),
        densities,
        sparse,
        as_quantized(sparse),
    )
