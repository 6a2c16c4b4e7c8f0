"""The whole of Algorithm 2: ADMM, then masked retraining."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from alcs_onnx.graph import Model
from alcs_onnx.train.admm import admm
from alcs_onnx.train.config import Project, TrainConfig, TrainResult
from alcs_onnx.train.data import Data
from alcs_onnx.train.finetune import finetune
from alcs_onnx.train.progress import Progress
from alcs_onnx.types import FloatArray


def prune(
    model: Model,
    prunable: Mapping[str, str],
    project: Project,
    data: Data,
    config: TrainConfig | None = None,
    *,
    weights: Mapping[str, FloatArray] | None = None,
    progress: Progress | None = None,
    checkpoint: Path | None = None,
    resume: bool = False,
    fingerprint: str = "",
) -> TrainResult:
    """`admm` followed by `finetune`, with their arguments; the history has both stages."""
    first = admm(
        model,
        prunable,
        project,
        data,
        config,
        weights=weights,
        progress=progress,
        checkpoint=checkpoint,
        resume=resume,
        fingerprint=fingerprint,
    )
    second = finetune(
        model,
        first.weights,
        first.keep,
        prunable,
        data,
        config,
        progress=progress,
        checkpoint=checkpoint,
        resume=resume,
        fingerprint=fingerprint,
    )
    return TrainResult(
        second.weights, second.keep, first.history + second.history, first.predicted_ms
    )
