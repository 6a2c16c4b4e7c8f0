"""Masked retraining: after ADMM only the weights that stay are updated (ALCS Algorithm 2)."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from alcs_onnx.errors import AlcsError
from alcs_onnx.graph import Model
from alcs_onnx.reporter import SILENT, Reporter
from alcs_onnx.train.checkpoint import Checkpoint, State, identity
from alcs_onnx.train.config import EpochRecord, TrainConfig, TrainHistory, TrainResult
from alcs_onnx.train.data import Data
from alcs_onnx.train.frozen import Frozen, set_zeros
from alcs_onnx.train.loop import Trainer, percent, torch_threads
from alcs_onnx.types import BoolArray, FloatArray, InitializerName, LayerName, WeightMask

STAGE = "finetune"


def cosine(start: float, done: float) -> float:
    """Learning rate when the share `done` of the schedule is over: `start` falling to 0."""
    return start * (1 + math.cos(math.pi * min(done, 1.0))) / 2


def finetune(
    model: Model,
    weights: Mapping[InitializerName, FloatArray] | None,
    keep: Mapping[LayerName, WeightMask],
    prunable: Mapping[LayerName, InitializerName],
    data: Data,
    config: TrainConfig | None = None,
    *,
    fixed: Mapping[LayerName, WeightMask] | None = None,
    keep_vectors: Mapping[InitializerName, BoolArray] | None = None,
    reporter: Reporter = SILENT,
    checkpoint: Path | None = None,
    resume: bool = False,
    fingerprint: str = "",
    teacher: Model | None = None,
    stage: str = STAGE,
) -> TrainResult:
    """Retrain with masks fixed and return the weights of the last epoch.

    `keep[layer]` is the layer's weight mask; where it is False the weight is set to
    and stays exactly zero (masked retraining: ADMM-NN-S section 4.2, ADAM-ADMM section 5.1).
    `keep_vectors` does the same for other initializers, by their own names: the biases of
    removed filters. Where `fixed[layer]` is True the weight keeps the value it starts with.
    Everything else trains, biases included. Layers of `prunable` without a mask train freely.
    The epochs are not chosen by the test samples: the last one is the result. With no epochs
    this only recalibrates, if the settings say so; with `keep` empty it fine-tunes the dense
    model, the fair baseline for a pruned one. Weights that are `fixed` are never recalibrated.

    `teacher` is the model that teaches where the data or the settings ask for it, and is by
    default `model` as it is. `checkpoint`, `resume`, `fingerprint` and `stage` are as for
    `admm`.
    """
    config = config or TrainConfig()
    fixed, keep_vectors = fixed or {}, keep_vectors or {}
    for layers, what in ((keep, "a mask"), (fixed, "a mask of fixed weights")):
        unknown = set(layers) - set(prunable)
        if unknown:
            raise AlcsError(f"there is {what} for '{min(unknown)}', which is no prunable layer")
    start = config.finetune_lr if config.finetune_lr is not None else config.lr
    with torch_threads(config.threads):
        trainer = Trainer(
            model,
            prunable,
            data,
            config,
            reporter,
            weights=weights,
            weight_decay=config.finetune_weight_decay,
            lr=start,
            optimizer=config.finetune_optimizer,
            teacher=teacher,
        )
        kept = {**{prunable[layer]: mask for layer, mask in keep.items()}, **keep_vectors}
        set_zeros(trainer, kept)
        store, state = None, None
        if checkpoint is not None:
            masks = {**keep, **{f"fixed {layer}": mask for layer, mask in fixed.items()}}
            masks |= keep_vectors
            known = identity(model, config, prunable, fingerprint, weights, masks)
            store = Checkpoint(checkpoint, stage, known)
            if resume:
                state = store.load()
            else:
                store.clear()
        epoch, history = 0, TrainHistory()
        if state is not None:
            trainer.restore(state.tensors)
            epoch, history = state.epoch, state.history
        elif keep and config.recalibrate and not fixed:
            trainer.recalibrate()
            set_zeros(trainer, keep_vectors)  # it gives channels that are gone their mean again
        trainable = dict(kept)
        for layer, mask in fixed.items():
            name = prunable[layer]
            trainable[name] = trainable.get(name, np.ones(mask.shape, dtype=bool)) & ~mask
        frozen = Frozen(trainer, trainable)
        total = config.finetune_epochs
        while epoch < total:
            epoch += 1
            record = _epoch(trainer, stage, epoch, total, start, frozen)
            history += TrainHistory((record,))
            if store is not None:
                store.save(State(epoch, history, None, trainer.tensors()))
        return TrainResult(trainer.module.arrays(), dict(keep), history)


def _epoch(
    trainer: Trainer, stage: str, epoch: int, total: int, start: float, frozen: Frozen
) -> EpochRecord:
    begin = time.perf_counter()
    loss = trainer.epoch(
        stage,
        epoch,
        total,
        adjust=frozen.mask_gradients,
        restore=frozen.restore,
        rate=lambda done: cosine(start, (epoch - 1 + done) / total),
    )
    evaluation = trainer.measure() if trainer.config.evaluate else None
    seconds = time.perf_counter() - begin
    trainer.reporter.finish(
        f"fine-tuning {epoch}/{total}  loss {loss:.4f}{percent(evaluation)}  {seconds:.1f} s"
    )
    metric = None if evaluation is None else evaluation.value
    return EpochRecord(stage, epoch, loss, metric=metric, seconds=seconds)
