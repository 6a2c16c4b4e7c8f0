"""Data and runs for the training tests; needs torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from classifiers import patterns

from alcs_onnx.data import Data, DataOptions, Preprocess, load_data
from alcs_onnx.graph import Model
from alcs_onnx.reporter import Silent
from alcs_onnx.sparse_format import blocks_view, group_mask_to_weight_mask
from alcs_onnx.train import (
    AS_IT_IS,
    Project,
    Projection,
    Start,
    TrainConfig,
    TrainResult,
    TrainRun,
    admm,
    finetune,
)

#: A schedule under which `classifier` learns `patterns`.
CONFIG = TrainConfig(
    finetune_optimizer="sgd",
    rho=0.1,
    lr=0.05,
    admm_epochs=4,
    finetune_epochs=4,
    batch_size=32,
    threads=1,
)


#: Layers of `classifier` that tests prune.
PRUNABLE = {"stem": "stem.weight", "body": "body.weight"}


def run_onnx(path: Path, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """All outputs of a file in ONNX Runtime."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    outputs: list[np.ndarray] = session.run(None, dict(feeds))
    return outputs


def pattern_data(model: Model, folder: Path) -> Data:
    """320 samples of `patterns` for training and 200 for testing, by way of a file."""
    train, test = patterns(320), patterns(200, seed=1)
    np.savez(
        folder / "patterns.npz",
        x_train=train["x"], y_train=train["y"], x_test=test["x"], y_test=test["y"],
    )  # fmt: skip
    options = DataOptions(Preprocess(mean=(0.5,), std=(0.3,)))
    return load_data(str(folder / "patterns.npz"), model, options)


def keep_largest(share: float, simd_group: int = 4) -> Any:
    """Projection on `share` of the SIMD groups of every layer, the largest ones."""

    def project(weights: Mapping[str, np.ndarray]) -> Projection:
        masks = {}
        for layer, weight in weights.items():
            norms = np.linalg.norm(blocks_view(weight, 1, simd_group), axis=2)
            kept = norms >= np.quantile(norms, 1 - share)
            masks[layer] = group_mask_to_weight_mask(kept, weight.shape, 1, simd_group)
        return Projection(masks, 1.25)

    return project


def same(a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)


def dense(model: Model, data: Data) -> dict[str, np.ndarray]:
    """Weights of the dense model trained on the data."""
    config = replace(CONFIG, finetune_epochs=12, finetune_lr=0.1)
    return dict(finetune(model, PRUNABLE, TrainRun(data, config)).weights)


def prune(
    model: Model,
    prunable: Mapping[str, str],
    project: Project,
    run: TrainRun,
    start: Start = AS_IT_IS,
) -> TrainResult:
    """`admm`, then `finetune` with the masks that it ended with; the history has both stages."""
    first = admm(model, prunable, project, run, start=start)
    second = finetune(model, prunable, run, start=Start(first.weights, first.keep))
    history = first.history + second.history
    return replace(second, history=history, predicted_ms=first.predicted_ms)


class InterruptedRunError(Exception):
    pass


class StopAfter(Silent):
    """Ends the run in the middle of an epoch, after a number of whole ones."""

    def __init__(self, epochs: int) -> None:
        self.left = epochs

    def finish(self, line: str) -> None:
        self.left -= 1

    def advance(self, loss: float) -> None:
        if self.left <= 0:
            raise InterruptedRunError
