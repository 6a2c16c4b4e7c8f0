"""The whole of ALCS Algorithm 2: ADMM, then masked retraining; once, or in progressive rounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from alcs_onnx.graph import Model
from alcs_onnx.train.admm import STAGE as ADMM
from alcs_onnx.train.admm import admm
from alcs_onnx.train.config import Project, TrainConfig, TrainHistory, TrainResult
from alcs_onnx.train.data import Data
from alcs_onnx.train.finetune import STAGE as FINETUNE
from alcs_onnx.train.finetune import finetune
from alcs_onnx.train.progress import Progress
from alcs_onnx.types import BoolArray, FloatArray


def prune(
    model: Model,
    prunable: Mapping[str, str],
    project: Project | Sequence[Project],
    data: Data,
    config: TrainConfig | None = None,
    *,
    weights: Mapping[str, FloatArray] | None = None,
    support: Mapping[str, BoolArray] | None = None,
    progress: Progress | None = None,
    checkpoint: Path | None = None,
    resume: bool = False,
    fingerprint: str = "",
    teacher: Model | None = None,
) -> TrainResult:
    """`admm` followed by `finetune` (ALCS Algorithm 2); the history has both stages.

    Several projections are the rounds of progressive pruning (ADMM-NN-S section 4.3): each
    starts from the result of the one before, and what that has pruned stays pruned. The stages
    of round r from the second on are called "admm-r" and "finetune-r".
    """
    rounds = [project] if callable(project) else list(project)
    history = TrainHistory()
    result = TrainResult(weights or {}, support or {})
    common = {"progress": progress, "checkpoint": checkpoint, "resume": resume, "teacher": teacher}
    for number, step in enumerate(rounds, 1):
        suffix = "" if number == 1 else f"-{number}"
        first = admm(
            model,
            prunable,
            step,
            data,
            config,
            weights=result.weights,
            support=result.keep,
            fingerprint=fingerprint,
            stage=ADMM + suffix,
            **common,  # type: ignore[arg-type]
        )
        second = finetune(
            model,
            first.weights,
            first.keep,
            prunable,
            data,
            config,
            fingerprint=fingerprint,
            stage=FINETUNE + suffix,
            **common,  # type: ignore[arg-type]
        )
        history += first.history + second.history
        result = TrainResult(second.weights, second.keep, history, first.predicted_ms)
    return result
