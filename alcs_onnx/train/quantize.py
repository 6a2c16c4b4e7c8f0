"""Weights trained to quantization levels: ADMM, then masked mapping (ADMM-NN-S section 4.2).

The set S of the ADMM loop is "every weight is level * q" (section 4.1); its projection takes
each weight to the nearest level. Afterwards W is near the levels, not on them. Masked mapping
puts it there in steps: weights within a threshold epsilon of their level are mapped and fixed,
the others are retrained to make up for it, and the rest is mapped with a larger epsilon, the
last of which maps all. The distances q are those that ADMM ended with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from alcs_onnx.codebooks import quantize
from alcs_onnx.errors import AlcsError
from alcs_onnx.graph import Model
from alcs_onnx.train.admm import admm
from alcs_onnx.train.config import Projection, TrainHistory
from alcs_onnx.train.finetune import finetune
from alcs_onnx.train.run import AS_IT_IS, Start, TrainRun
from alcs_onnx.types import (
    BoolArray,
    Codebook,
    FloatArray,
    InitializerName,
    LayerName,
    QuantizedWeight,
    WeightMask,
)

STAGE = "quantize"

#: Thresholds of masked mapping, as shares of half the distance between levels: 1 maps all.
_EPSILONS = (0.3, 0.6, 0.85, 1.0)


@dataclass(frozen=True)
class QuantizeResult:
    """Trained weights by initializer, the levels of the quantized layers, and how it went.

    `weights` of a quantized layer are exactly `quantized[layer].values()`.
    """

    weights: Mapping[InitializerName, FloatArray]
    quantized: Mapping[LayerName, QuantizedWeight]
    history: TrainHistory


@dataclass(frozen=True, eq=False)
class _Projector:
    """Onto the weights of some levels: the set S, which `keep` has its zeros from."""

    levels: Mapping[LayerName, Codebook]
    keep: Mapping[LayerName, WeightMask]
    per_channel: bool

    def __call__(self, weights: Mapping[LayerName, FloatArray]) -> Projection:
        found = {layer: self.nearest(layer, weight) for layer, weight in weights.items()}
        values = {layer: item.values() for layer, item in found.items()}
        return Projection(self.keep, None, values)

    def nearest(
        self, layer: LayerName, weight: FloatArray, scale: FloatArray | None = None
    ) -> QuantizedWeight:
        """The nearest levels, their distance the best one or `scale`."""
        return quantize(
            weight,
            self.levels[layer],
            keep=self.keep.get(layer),
            per_channel=self.per_channel,
            scale=scale,
        )


def quantize_weights(
    model: Model,
    prunable: Mapping[LayerName, InitializerName],
    levels: Mapping[LayerName, Codebook],
    run: TrainRun,
    *,
    start: Start = AS_IT_IS,
    per_channel: bool = False,
) -> QuantizeResult:
    """Train the layers of `levels` until every weight is one of its levels.

    Runs `config.admm_epochs` iterations of ADMM, then `config.finetune_epochs` of retraining
    after each threshold of the mapping; after the last only what is not quantized trains: the
    biases. Weights that `start` has removed are no part of the levels and stay 0. `per_channel`
    gives each output channel a distance of its own. Raises `AlcsError` for levels of a layer
    that is not there.
    """
    unknown = set(levels) - set(prunable)
    if unknown:
        raise AlcsError(f"levels are given for '{min(unknown)}', which is no prunable layer")
    # Recalibration rescales channels, which would take weights off their levels again.
    run = replace(run, config=replace(run.config, recalibrate=False))
    support = {layer: mask for layer, mask in start.keep.items() if layer in levels}
    projector = _Projector(levels, support, per_channel)
    quantizable = {layer: prunable[layer] for layer in levels}
    result = admm(
        model,
        quantizable,
        projector,
        run,
        start=replace(start, keep=support),
        stage=f"{STAGE}-admm",
    )
    history, arrays = result.history, dict(result.trained)
    scales = {
        layer: projector.nearest(layer, result.weights[name]).scale
        for layer, name in quantizable.items()
    }
    quantized: dict[LayerName, QuantizedWeight] = {}
    for number, epsilon in enumerate(_EPSILONS, 1):
        fixed = {}
        for layer, name in quantizable.items():
            quantized[layer] = projector.nearest(layer, arrays[name], scales[layer])
            target = quantized[layer].values()
            fixed[layer] = within(arrays[name], quantized[layer], epsilon)
            arrays[name] = np.where(fixed[layer], target, arrays[name]).astype(np.float32)
        trained = finetune(
            model,
            prunable,
            run,
            start=replace(start, weights=arrays),
            fixed=fixed,
            stage=f"{STAGE}-{number}",
        )
        history += trained.history
        arrays = dict(trained.weights)
    return QuantizeResult(arrays, quantized, history)


def within(weight: FloatArray, quantized: QuantizedWeight, epsilon: float) -> BoolArray:
    """Where `weight` is within `epsilon` of its level (ADMM-NN-S section 4.2).

    `epsilon` is a share of half the distance between levels; 1 and more is everywhere, also
    beyond the outermost levels.
    """
    if epsilon >= 1:
        return np.ones(weight.shape, dtype=bool)
    scale = quantized.scale.reshape(-1, *(1 for _ in weight.shape[1:]))
    limit = epsilon * scale * quantized.codebook.step / 2
    near: BoolArray = np.abs(weight - quantized.values()) <= limit
    return near
