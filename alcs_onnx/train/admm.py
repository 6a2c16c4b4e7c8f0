"""ADMM with a hard constraint set (ALCS Algorithm 2, equations 7 to 9).

    min L(W)  subject to  W = U,  U in S

where S is whatever the projection projects on. Per iteration t:

    W-step  one epoch of SGD on L(W) + rho/2 * ||W - U + Z/rho||^2
    U-step  U = projection of W + Z/rho
    Z-step  Z = Z + rho * (W - U)

Z is the unscaled dual; its penalty gradient, rho * (W - U) + Z, is added analytically.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from alcs_onnx.errors import AlcsError
from alcs_onnx.graph import Model
from alcs_onnx.train.checkpoint import Checkpoint, State, identity
from alcs_onnx.train.config import (
    EpochRecord,
    Evaluation,
    Project,
    TrainConfig,
    TrainHistory,
    TrainResult,
)
from alcs_onnx.train.data import Data
from alcs_onnx.train.loop import Trainer, gradient, percent, torch_threads
from alcs_onnx.train.module import to_array
from alcs_onnx.train.progress import Progress, Silent
from alcs_onnx.types import FloatArray

STAGE = "admm"


def automatic_rho(config: TrainConfig, steps: int | None) -> float:
    """The penalty that pulls W as far towards U in an iteration as the paper's does.

    SGD moves W towards U by the factor exp(-p) in an epoch, p = rho * lr / (1 - momentum) *
    steps. The paper's 0.01 has p = 0.5 on ImageNet (5,000 steps of 256 samples, lr 0.001,
    momentum 0.9). With far fewer steps the same rho leaves W where it was while the dual of
    the removed weights grows by rho * W an iteration, until they outweigh the kept ones and
    the masks swap. Schedules below 20 iterations get more, up to p = 1 from 10 down.

    Adam's steps do not scale with the gradient, so there the paper's value stands, as it
    does where the data cannot tell its number of `steps`.
    """
    if config.optimizer != "sgd" or not steps:
        return 0.01
    pull = min(max(0.5, 10 / max(config.admm_epochs, 1)), 1.0)
    return pull * (1 - config.momentum) / (config.lr * steps)


def initial_dual(kind: str, weight: Tensor, projected: Tensor, rho: float) -> Tensor:
    """The dual variable before the first iteration.

    "paper" is W - U0, as Algorithm 2 prints it. Taken literally as the unscaled dual of
    equation 8 this makes the first U-step project W + (W - U0) / rho: with rho = 0.01 the
    weights that U0 removed count 101 times and are the ones kept, and the W-step drives
    them to -100 times their value. "scaled" reads the same line as the scaled dual Z/rho,
    that is rho * (W - U0); "zero" starts from no dual at all, as ADMM usually does.
    """
    if kind == "paper":
        return weight - projected
    if kind == "scaled":
        return rho * (weight - projected)
    return torch.zeros_like(weight)


@dataclass
class _Variables:
    """U, Z and the masks by layer."""

    projected: dict[str, Tensor]
    dual: dict[str, Tensor]
    masks: dict[str, Tensor]
    predicted_ms: float


class _Admm:
    def __init__(self, trainer: Trainer, project: Project) -> None:
        config = trainer.config
        steps = trainer.data.train.batch_count(config.batch_size, training=True)
        self.trainer, self.project = trainer, project
        self.rho = config.rho if config.rho is not None else automatic_rho(config, steps)

    @torch.no_grad()
    def projection(
        self, dual: Mapping[str, Tensor] | None
    ) -> tuple[dict[str, Tensor], dict[str, Tensor], float]:
        """U and masks for W + Z/rho, and the estimated latency."""
        points = {
            layer: p.detach() if dual is None else p.detach() + dual[layer] / self.rho
            for layer, p in self.trainer.pruned.items()
        }
        found = self.project({layer: to_array(point) for layer, point in points.items()})
        unknown = set(found.masks) - set(points)
        if unknown:
            raise AlcsError(f"the projection returned an unknown layer '{min(unknown)}'")
        masks, projected = {}, {}
        for layer, point in points.items():
            mask = found.masks.get(layer)
            if mask is None:
                masks[layer] = torch.ones_like(point, dtype=torch.bool)
            elif tuple(mask.shape) != tuple(point.shape):
                raise AlcsError(
                    f"the projection's mask of layer '{layer}' has shape {list(mask.shape)}, "
                    f"its weight {list(point.shape)}"
                )
            else:
                masks[layer] = self.trainer.tensor(mask, point)
            projected[layer] = torch.where(masks[layer], point, torch.zeros_like(point))
        return projected, masks, found.predicted_ms

    @torch.no_grad()
    def start(self) -> _Variables:
        """U0 = projection of W, and Z0."""
        projected, masks, predicted = self.projection(None)
        dual = {
            layer: initial_dual(
                self.trainer.config.dual_init, p.detach(), projected[layer], self.rho
            )
            for layer, p in self.trainer.pruned.items()
        }
        return _Variables(projected, dual, masks, predicted)

    @torch.no_grad()
    def add_penalty(self, now: _Variables) -> None:
        """Add rho * (W - U) + Z to the gradients."""
        for layer, parameter in self.trainer.pruned.items():
            grad = gradient(parameter)
            grad.add_(now.dual[layer])
            grad.add_(parameter.detach() - now.projected[layer], alpha=self.rho)

    @torch.no_grad()
    def update(self, now: _Variables) -> tuple[_Variables, float, float, float]:
        """The U- and Z-step; also ‖W − U‖, that over ‖W‖, and the share of changed masks."""
        projected, masks, predicted = self.projection(now.dual)
        dual, gap, norm, changed, count = {}, 0.0, 0.0, 0, 0
        for layer, parameter in self.trainer.pruned.items():
            difference = parameter.detach() - projected[layer]
            dual[layer] = now.dual[layer] + self.rho * difference
            gap += float(difference.double().square().sum())
            norm += float(parameter.detach().double().square().sum())
            changed += int((masks[layer] != now.masks[layer]).sum())
            count += parameter.numel()
        relative = (gap / norm) ** 0.5 if norm else 0.0
        new = _Variables(projected, dual, masks, predicted)
        return new, gap**0.5, relative, changed / max(count, 1)

    @torch.no_grad()
    def measure_projected(self, now: _Variables) -> Evaluation | None:
        """The metric with W replaced by U for the moment."""
        if not self.trainer.config.evaluate or self.trainer.data.test is None:
            return None
        saved = [p.detach().clone() for p in self.trainer.module.parameters()]
        try:
            for layer, parameter in self.trainer.pruned.items():
                parameter.copy_(now.projected[layer])
            if self.trainer.config.recalibrate:
                self.trainer.recalibrate()
            return self.trainer.measure()
        finally:
            for parameter, value in zip(self.trainer.module.parameters(), saved, strict=True):
                parameter.copy_(value)


def _state(trainer: Trainer, now: _Variables, epoch: int, history: TrainHistory) -> State:
    return State(
        epoch,
        history,
        now.predicted_ms,
        {
            **trainer.tensors(),
            "projected": now.projected,
            "dual": now.dual,
            "masks": now.masks,
        },
    )


def admm(
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
    teacher: Model | None = None,
) -> TrainResult:
    """Train towards the constraint set; the result has W = U, so its pruned weights are zero.

    `prunable` maps layer names to their weight initializers; `project` sees and answers
    with the same layer names. With `config.admm_epochs` 0 this is one-shot pruning.

    `checkpoint` is a folder that gets the state after each iteration; with `resume` the run
    goes on from there, to the very result of an uninterrupted one, and is refused if the
    state is of another model, other settings or another `fingerprint` (the caller's words
    for budget and data). `weights` start the run in place of the model's own.

    Raises `AlcsError` when the loss diverges, `DataError` for data that does not fit.
    """
    config, progress = config or TrainConfig(), progress or Silent()
    with torch_threads(config.threads):
        trainer = Trainer(
            model,
            prunable,
            data,
            config,
            progress,
            weights=weights,
            weight_decay=config.weight_decay,
            lr=config.lr,
            optimizer=config.optimizer,
            teacher=teacher,
        )
        steps = _Admm(trainer, project)
        store, state = None, None
        if checkpoint is not None:
            known = identity(model, config, prunable, fingerprint, weights)
            store = Checkpoint(checkpoint, STAGE, known)
            if resume:
                state = store.load()
            else:
                for stage in (STAGE, "finetune"):
                    Checkpoint(checkpoint, stage, {}).clear()
        if state is None:
            now, epoch, history = steps.start(), 0, TrainHistory()
        else:
            now, epoch, history = _restored(trainer, state), state.epoch, state.history
        while epoch < config.admm_epochs:
            epoch += 1
            now, record = _iteration(trainer, steps, now, epoch)
            history += TrainHistory((record,))
            if store is not None:
                store.save(_state(trainer, now, epoch, history))
        arrays = trainer.module.arrays()
        arrays |= {prunable[layer]: to_array(now.projected[layer]) for layer in prunable}
        masks = {layer: mask.cpu().contiguous().numpy() for layer, mask in now.masks.items()}
        return TrainResult(arrays, masks, history, now.predicted_ms)


def _iteration(
    trainer: Trainer, steps: _Admm, now: _Variables, epoch: int
) -> tuple[_Variables, EpochRecord]:
    begin, total = time.perf_counter(), trainer.config.admm_epochs
    loss = trainer.epoch(STAGE, epoch, total, adjust=lambda: steps.add_penalty(now))
    new, residual, relative, changed = steps.update(now)
    evaluation = steps.measure_projected(new)
    record = EpochRecord(
        STAGE,
        epoch,
        loss,
        residual,
        relative,
        changed,
        new.predicted_ms,
        None if evaluation is None else evaluation.value,
        time.perf_counter() - begin,
    )
    trainer.progress.finish(
        f"ADMM {epoch}/{total}  ρ {steps.rho:.3g}  loss {loss:.4f}  "
        f"‖W−U‖ {residual:.4g} ({relative:.1%} of ‖W‖)"
        f"  estimated {new.predicted_ms:.3f} ms{percent(evaluation)}  {record.seconds:.1f} s"
    )
    return new, record


def _restored(trainer: Trainer, state: State) -> _Variables:
    tensors = state.tensors
    trainer.restore(tensors)

    def like(kind: str) -> dict[str, Tensor]:
        return {
            layer: torch.empty_like(p, dtype=tensors[kind][layer].dtype, requires_grad=False).copy_(
                tensors[kind][layer]
            )
            for layer, p in trainer.pruned.items()
        }

    return _Variables(
        like("projected"), like("dual"), like("masks"), float(state.predicted_ms or 0.0)
    )
