"""Masked retraining: after ADMM only the weights that stay are updated (ALCS Algorithm 2)."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

import numpy as np

from alcs_onnx.errors import DivergedError
from alcs_onnx.graph import Model
from alcs_onnx.train.checkpoint import State, open_checkpoint
from alcs_onnx.train.config import EpochRecord, TrainHistory, TrainResult
from alcs_onnx.train.frozen import Frozen, set_zeros
from alcs_onnx.train.loop import Trainer, percent, torch_threads
from alcs_onnx.train.run import AS_IT_IS, Start, TrainRun, check_layers
from alcs_onnx.types import InitializerName, LayerName, WeightMask

STAGE = "finetune"


def cosine(start: float, done: float) -> float:
    """Learning rate when the share `done` of the schedule is over: `start` falling to 0."""
    return start * (1 + math.cos(math.pi * min(done, 1.0))) / 2


def finetune(
    model: Model,
    prunable: Mapping[LayerName, InitializerName],
    run: TrainRun,
    *,
    start: Start = AS_IT_IS,
    fixed: Mapping[LayerName, WeightMask] | None = None,
    stage: str = STAGE,
) -> TrainResult:
    """Retrain with the masks of `start` and return the weights of the last epoch.

    What is masked stays exactly zero (masked retraining: ADMM-NN-S section 4.2, ADAM-ADMM
    section 5.1). Where `fixed[layer]` is True the weight keeps the value it starts with.
    Everything else trains, biases included. Layers of `prunable` without a mask train freely.
    The epochs are not chosen by the test samples: the last one is the result. With no epochs
    this only recalibrates, if the settings say so; without weight masks it fine-tunes the dense
    model, the fair baseline for a pruned one. Weights that are `fixed` are never recalibrated.

    `stage` names the checkpoint and the records. Raises as `admm`.
    """
    fixed = fixed or {}
    kept = start.masks(prunable)
    check_layers(fixed, prunable, "a mask of fixed weights")
    with torch_threads(run.config.threads):
        trainer = Trainer(model, prunable, run, start.weights, run.config.finetuning)
        set_zeros(trainer, kept)
        store, state = open_checkpoint(model, prunable, run, start, (stage,), fixed)
        epoch, history = 0, TrainHistory()
        if state is not None:
            trainer.restore(state.tensors)
            epoch, history = state.epoch, state.history
        elif start.keep and run.config.recalibrate and not fixed:
            trainer.recalibrate()
            # It gives channels that are gone their mean again.
            set_zeros(trainer, start.keep_vectors)
        trainable = dict(kept)
        for layer, mask in fixed.items():
            name = prunable[layer]
            trainable[name] = trainable.get(name, np.ones(mask.shape, dtype=bool)) & ~mask
        frozen = Frozen(trainer, trainable)
        while epoch < run.config.finetune_epochs:
            epoch += 1
            record = _epoch(trainer, frozen, stage, epoch)
            history += TrainHistory((record,))
            if store is not None:
                store.save(State(epoch, history, None, trainer.tensors()))
        return TrainResult(trainer.module.arrays(), dict(start.keep), history)


def _epoch(trainer: Trainer, frozen: Frozen, stage: str, epoch: int) -> EpochRecord:
    begin, total = time.perf_counter(), trainer.config.finetune_epochs
    lr = trainer.config.finetuning.lr
    loss = trainer.epoch(
        stage,
        epoch,
        total,
        adjust=frozen.mask_gradients,
        restore=frozen.restore,
        rate=lambda done: cosine(lr, (epoch - 1 + done) / total),
    )
    evaluation = trainer.measure() if trainer.config.evaluate else None
    first, most = trainer.first_loss, trainer.config.give_up
    if most is not None and first is not None and loss > most * first:
        raise DivergedError(
            f"training diverged: the loss is {loss:.4g} in {stage} epoch {epoch}, {first:.4g} "
            "before the first step; lower the learning rate"
        )
    seconds = time.perf_counter() - begin
    trainer.reporter.finish(
        f"fine-tuning {epoch}/{total}  loss {loss:.4f}{percent(evaluation)}  {seconds:.1f} s"
    )
    metric = None if evaluation is None else evaluation.value
    return EpochRecord(stage, epoch, loss, metric=metric, seconds=seconds)
