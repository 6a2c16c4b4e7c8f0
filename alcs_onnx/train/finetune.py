"""Masked retraining: after ADMM only the weights that stay are updated (Algorithm 2)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from alcs_onnx.errors import AlcsError
from alcs_onnx.graph import Model
from alcs_onnx.train.checkpoint import Checkpoint, State, identity
from alcs_onnx.train.config import EpochRecord, TrainConfig, TrainHistory, TrainResult
from alcs_onnx.train.data import Data
from alcs_onnx.train.loop import Trainer, gradient, percent, torch_threads
from alcs_onnx.train.progress import Progress, Silent
from alcs_onnx.types import BoolArray, FloatArray

STAGE = "finetune"


def cosine(start: float, done: float) -> float:
    """Learning rate when the share `done` of the schedule is over: `start` falling to 0."""
    return start * (1 + math.cos(math.pi * min(done, 1.0))) / 2


def finetune(
    model: Model,
    weights: Mapping[str, FloatArray] | None,
    keep: Mapping[str, BoolArray],
    prunable: Mapping[str, str],
    data: Data,
    config: TrainConfig | None = None,
    *,
    progress: Progress | None = None,
    checkpoint: Path | None = None,
    resume: bool = False,
    fingerprint: str = "",
    teacher: Model | None = None,
) -> TrainResult:
    """Retrain with masks fixed and return the weights of the last epoch.

    `keep[layer]` has the shape of the layer's weight; where it is False the weight is set to
    and stays exactly zero. Everything else trains, biases included. Layers of `prunable`
    without a mask train freely. The epochs are not chosen by the test samples: the last one
    is the result. With no epochs this only recalibrates, if the settings say so; with `keep`
    empty it fine-tunes the dense model, the fair baseline for a pruned one.

    `teacher` is the model that teaches where the data or the settings ask for it, and is by
    default `model` as it is. `checkpoint`, `resume` and `fingerprint` are as for `admm`.
    """
    config, progress = config or TrainConfig(), progress or Silent()
    unknown = set(keep) - set(prunable)
    if unknown:
        raise AlcsError(f"there is a mask for '{min(unknown)}', which is no prunable layer")
    start = config.finetune_lr if config.finetune_lr is not None else config.lr
    with torch_threads(config.threads):
        trainer = Trainer(
            model,
            prunable,
            data,
            config,
            progress,
            weights=weights,
            weight_decay=config.finetune_weight_decay,
            lr=start,
            optimizer=config.finetune_optimizer,
            teacher=teacher,
        )
        masks = {}
        for layer, mask in keep.items():
            parameter = trainer.pruned[layer]
            if tuple(mask.shape) != tuple(parameter.shape):
                raise AlcsError(
                    f"the mask of layer '{layer}' has shape {list(mask.shape)}, "
                    f"its weight {list(parameter.shape)}"
                )
            masks[layer] = trainer.tensor(mask, parameter.detach())

        @torch.no_grad()
        def mask_weights() -> None:
            for layer, mask in masks.items():
                trainer.pruned[layer].masked_fill_(~mask, 0.0)

        @torch.no_grad()
        def mask_gradients() -> None:
            for layer, mask in masks.items():
                gradient(trainer.pruned[layer]).mul_(mask)

        store, state = None, None
        if checkpoint is not None:
            known = identity(model, config, prunable, fingerprint, weights, keep)
            store = Checkpoint(checkpoint, STAGE, known)
            if resume:
                state = store.load()
            else:
                store.clear()
        epoch, history = 0, TrainHistory()
        if state is not None:
            trainer.restore(state.tensors)
            epoch, history = state.epoch, state.history
        mask_weights()
        if state is None and masks and config.recalibrate:
            trainer.recalibrate()
        total = config.finetune_epochs
        while epoch < total:
            epoch += 1
            record = _epoch(trainer, epoch, total, start, mask_gradients)
            history += TrainHistory((record,))
            if store is not None:
                store.save(State(epoch, history, None, {**trainer.tensors(), "masks": masks}))
        return TrainResult(trainer.module.arrays(), dict(keep), history)


def saved_keep(checkpoint: Path) -> dict[str, BoolArray] | None:
    """The masks that fine-tuning was using when it saved its state; None where it did not.

    A resumed run needs them where its own would depend on new measurements. Raises
    `AlcsError` for a damaged file.
    """
    state = Checkpoint(checkpoint, STAGE, {}).load(any_run=True)
    if state is None:
        return None
    return {layer: mask.contiguous().numpy() for layer, mask in state.tensors["masks"].items()}


def _epoch(
    trainer: Trainer, epoch: int, total: int, start: float, mask_gradients: Callable[[], None]
) -> EpochRecord:
    begin = time.perf_counter()
    loss = trainer.epoch(
        STAGE,
        epoch,
        total,
        adjust=mask_gradients,
        rate=lambda done: cosine(start, (epoch - 1 + done) / total),
    )
    evaluation = trainer.measure() if trainer.config.evaluate else None
    seconds = time.perf_counter() - begin
    trainer.progress.finish(
        f"fine-tuning {epoch}/{total}  loss {loss:.4f}{percent(evaluation)}  {seconds:.1f} s"
    )
    metric = None if evaluation is None else evaluation.value
    return EpochRecord(STAGE, epoch, loss, metric=metric, seconds=seconds)
