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
from pathlib import Path

import numpy as np

from alcs_onnx.errors import AlcsError
from alcs_onnx.graph import Model
from alcs_onnx.levels import quantize
from alcs_onnx.reporter import SILENT, Reporter
from alcs_onnx.train.admm import admm
from alcs_onnx.train.config import Projection, TrainConfig, TrainHistory
from alcs_onnx.train.data import Data
from alcs_onnx.train.finetune import finetune
from alcs_onnx.types import (
    BoolArray,
    FloatArray,
    InitializerName,
    LayerName,
    LevelSet,
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


def quantize_weights(
    model: Model,
    prunable: Mapping[LayerName, InitializerName],
    levels: Mapping[LayerName, LevelSet],
    data: Data,
    config: TrainConfig | None = None,
    *,
    weights: Mapping[InitializerName, FloatArray] | None = None,
    keep: Mapping[LayerName, WeightMask] | None = None,
    keep_vectors: Mapping[InitializerName, BoolArray] | None = None,
    per_channel: bool = False,
    reporter: Reporter = SILENT,
    checkpoint: Path | None = None,
    resume: bool = False,
    fingerprint: str = "",
    teacher: Model | None = None,
) -> QuantizeResult:
    """Train the layers of `levels` until every weight is one of its levels.

    Runs `config.admm_epochs` iterations of ADMM, then `config.finetune_epochs` of retraining
    after each threshold of the mapping; after the last only what is not quantized trains: the
    biases. Where `keep[layer]` is False weights are and stay 0: pruned weights are no part of
    the levels. `per_channel` gives each output channel a distance of its own. Other arguments
    are as for `admm` and `finetune`. Raises `AlcsError` for levels of a layer that is not there.
    """
    config, keep = config or TrainConfig(), keep or {}
    unknown = set(levels) - set(prunable)
    if unknown:
        raise AlcsError(f"levels are given for '{min(unknown)}', which is no prunable layer")

    support = {layer: mask for layer, mask in keep.items() if layer in levels}

    def project(arrays: Mapping[LayerName, FloatArray]) -> Projection:
        found = {layer: nearest(layer, array) for layer, array in arrays.items()}
        values = {layer: item.values() for layer, item in found.items()}
        return Projection(support, None, values)

    def nearest(layer: str, array: FloatArray, scale: FloatArray | None = None) -> QuantizedWeight:
        return quantize(
            array,
            levels[layer],
            keep=keep.get(layer),
            per_channel=per_channel,
            scale=scale,
        )

    quantizable = {layer: prunable[layer] for layer in levels}
    common = {"reporter": reporter, "checkpoint": checkpoint, "resume": resume, "teacher": teacher}
    # Recalibration rescales channels, which would take weights off their levels again.
    config = replace(config, recalibrate=False)
    result = admm(
        model,
        quantizable,
        project,
        data,
        config,
        weights=weights,
        support=support,
        keep_vectors=keep_vectors,
        fingerprint=fingerprint,
        stage=f"{STAGE}-admm",
        **common,  # type: ignore[arg-type]
    )
    history, arrays = result.history, dict(result.trained)
    scales = {
        layer: nearest(layer, result.weights[name]).scale for layer, name in quantizable.items()
    }
    quantized: dict[str, QuantizedWeight] = {}
    for number, epsilon in enumerate(_EPSILONS, 1):
        fixed = {}
        for layer, name in quantizable.items():
            quantized[layer] = nearest(layer, arrays[name], scales[layer])
            target = quantized[layer].values()
            fixed[layer] = within(arrays[name], quantized[layer], epsilon)
            arrays[name] = np.where(fixed[layer], target, arrays[name]).astype(np.float32)
        trained = finetune(
            model,
            arrays,
            keep,
            prunable,
            data,
            config,
            fixed=fixed,
            keep_vectors=keep_vectors,
            fingerprint=fingerprint,
            stage=f"{STAGE}-{number}",
            **common,  # type: ignore[arg-type]
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
    limit = epsilon * scale * quantized.level_set.step / 2
    near: BoolArray = np.abs(weight - quantized.values()) <= limit
    return near
