"""Small models with pruned and quantized convolutions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from graph_helpers import conv_weight, op, vector
from rewrite_helpers import load

from alcs_onnx.codebooks import get_codebook, quantize
from alcs_onnx.graph import Model, conv_layer, conv_layers
from alcs_onnx.sparse_format import group_mask_to_weight_mask, largest_fitting
from alcs_onnx.types import PruningPlan, QuantizedWeight

Rng = np.random.Generator

X = (1, 8, 9, 9)


def net(tmp_path: Path, rng: Rng, m: int = 16, group: int = 1, opset: int = 17) -> Model:
    """A Conv with Relu, and a pointwise Conv with residual."""
    nodes = [
        op("Conv", "x w b", "a", "first", pads=[1, 1, 1, 1], group=group),
        op("Relu", "a", "r"),
        op("Conv", "r p", "t", "second"),
        op("Add", "t r", "s"),
        op("LeakyRelu", "s", "y", alpha=0.1),
    ]
    weights = {
        "w": conv_weight(rng, m, 8 // group, 3, 3), "b": vector(rng, m),
        "p": conv_weight(rng, m, m, 1, 1),
    }  # fmt: skip
    return load(tmp_path, nodes, weights, X, opset=opset)


def pruned(
    loaded: Model, rng: Rng, name: str, g: int, density: float, per_channel: bool = False
) -> tuple[PruningPlan, dict[str, QuantizedWeight]]:
    """Random groups kept, and what is kept of the weights quantized."""
    keep, levels = {}, {}
    for layer in conv_layers(loaded):
        size = largest_fitting(layer.rows_per_group, g)
        groups = (layer.group * layer.blocks_per_group(size), layer.columns)
        mask = rng.random(groups) < density
        keep[layer.name] = mask
        levels[layer.name] = quantize(
            loaded.initializers[layer.weight],
            get_codebook(name),
            keep=group_mask_to_weight_mask(mask, layer.weight_shape, layer.group, size),
            per_channel=per_channel,
        )
    return PruningPlan(loaded.digest, g, keep, {}, 0.0), levels


def with_values(loaded: Model, levels: dict[str, QuantizedWeight]) -> Model:
    """The model whose weights are what the levels stand for."""
    return loaded.with_initializers(
        {conv_layer(loaded, name).weight: weight.values() for name, weight in levels.items()}
    )
