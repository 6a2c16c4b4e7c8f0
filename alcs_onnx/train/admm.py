"""ADMM with a hard constraint set: one loop for all four papers, with different sets S.

    min L(W)  subject to  W = U,  U in S          (ALCS eq. 7, ADMM-NN-S and ADAM-ADMM eq. 1, 2)

where S is whatever the projection projects on. Per iteration t, with rho_i of layer i:

    W-step  epochs of SGD or Adam on L(W) + sum_i rho_i/2 * ||W_i - U_i + Z_i/rho_i||^2
    U-step  U = projection of W + Z/rho
    Z-step  Z = Z + rho * (W - U)

W-step: ALCS eq. 9a, ADMM-NN-S eq. 2, ADAM-ADMM eq. 3. U-step: ALCS eq. 9b, ADMM-NN-S eq. 3,
ADAM-ADMM eq. 4 and 5. Z-step: ALCS eq. 9c. The other two papers call U "Z" and the scaled dual
Z/rho "U". Z here is the unscaled dual, which stays what it is when rho changes; its penalty
gradient, rho * (W - U) + Z, is added analytically.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from alcs_onnx.errors import AlcsError
from alcs_onnx.graph import Model
from alcs_onnx.train.checkpoint import State, open_checkpoint
from alcs_onnx.train.config import EpochRecord, Evaluation, Project, TrainHistory, TrainResult
from alcs_onnx.train.frozen import Frozen, set_zeros
from alcs_onnx.train.loop import Trainer, gradient, percent, torch_threads
from alcs_onnx.train.module import to_array
from alcs_onnx.train.penalty import Penalty
from alcs_onnx.train.run import AS_IT_IS, Start, TrainRun
from alcs_onnx.types import InitializerName, LayerName

STAGE = "admm"


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
    predicted_ms: float | None


@dataclass(frozen=True)
class _Change:
    """What an update did: ‖W − U‖, that over ‖W‖, ‖rho (U − U before)‖, share of changed masks."""

    residual: float
    relative: float
    dual_residual: float
    masks: float


class _Admm:
    def __init__(self, trainer: Trainer, project: Project, start: Start, stage: str) -> None:
        config = trainer.config
        steps = trainer.data.train.batch_count(config.batch_size, training=True)
        self.trainer, self.project, self.stage = trainer, project, stage
        self.rho = Penalty(config, trainer.pruned, steps)
        kept = start.masks(trainer.initializers)
        self.support = {
            layer: trainer.tensor(mask, trainer.pruned[layer].detach())
            for layer, mask in start.keep.items()
        }
        set_zeros(trainer, kept)
        self.frozen = Frozen(trainer, kept)

    @torch.no_grad()
    def projection(
        self, dual: Mapping[str, Tensor] | None
    ) -> tuple[dict[str, Tensor], dict[str, Tensor], float | None]:
        """U and masks for W + Z/rho, and the estimated latency.

        ALCS eq. 9b; ADMM-NN-S eq. 3; ADAM-ADMM eq. 4, whose solution is its eq. 5.
        """
        points = {
            layer: p.detach() if dual is None else p.detach() + dual[layer] / self.rho[layer]
            for layer, p in self.trainer.pruned.items()
        }
        for layer, support in self.support.items():
            points[layer] = points[layer] * support
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
            values = found.values.get(layer)
            nearest = point if values is None else self.trainer.tensor(values, point)
            projected[layer] = torch.where(masks[layer], nearest, torch.zeros_like(point))
        return projected, masks, found.predicted_ms

    @torch.no_grad()
    def start(self) -> _Variables:
        """U0 = projection of W, and Z0."""
        projected, masks, predicted = self.projection(None)
        dual = {
            layer: initial_dual(
                self.trainer.config.dual_init, p.detach(), projected[layer], self.rho[layer]
            )
            for layer, p in self.trainer.pruned.items()
        }
        return _Variables(projected, dual, masks, predicted)

    @torch.no_grad()
    def add_penalty(self, now: _Variables) -> None:
        """Add rho * (W - U) + Z to the gradients.

        That is the gradient of the quadratic term in ALCS eq. 8 and 9a, ADMM-NN-S eq. 2 and
        ADAM-ADMM eq. 3.
        """
        for layer, parameter in self.trainer.pruned.items():
            grad = gradient(parameter)
            grad.add_(now.dual[layer])
            grad.add_(parameter.detach() - now.projected[layer], alpha=self.rho[layer])
        self.frozen.mask_gradients()

    @torch.no_grad()
    def update(self, now: _Variables) -> tuple[_Variables, _Change]:
        """The U-step, and the Z-step (ALCS eq. 9c)."""
        projected, masks, predicted = self.projection(now.dual)
        dual, gap, norm, moved, changed, count = {}, 0.0, 0.0, 0.0, 0, 0
        for layer, parameter in self.trainer.pruned.items():
            difference = parameter.detach() - projected[layer]
            dual[layer] = now.dual[layer] + self.rho[layer] * difference
            gap += _square(difference)
            norm += _square(parameter.detach())
            moved += _square(projected[layer] - now.projected[layer]) * self.rho[layer] ** 2
            changed += int((masks[layer] != now.masks[layer]).sum())
            count += parameter.numel()
        relative = (gap / norm) ** 0.5 if norm else 0.0
        new = _Variables(projected, dual, masks, predicted)
        return new, _Change(gap**0.5, relative, moved**0.5, changed / max(count, 1))

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


def _square(tensor: Tensor) -> float:
    return float(tensor.double().square().sum())


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
    prunable: Mapping[LayerName, InitializerName],
    project: Project,
    run: TrainRun,
    *,
    start: Start = AS_IT_IS,
    stage: str = STAGE,
) -> TrainResult:
    """Train towards the constraint set; the result has W = U, so its pruned weights are zero.

    `prunable` maps layer names to their weight initializers; `project` sees and answers
    with the same layer names. With `config.admm_epochs` 0 this is one-shot pruning. What
    `start` has removed stays 0, whatever the projection would choose: a second round does not
    recover what the first has pruned (ADMM-NN-S section 4.3). `stage` names the checkpoint and
    the records.

    Raises `AlcsError` when training diverges (see `penalty`), `DataError` for data that does
    not fit.
    """
    with torch_threads(run.config.threads):
        trainer = Trainer(model, prunable, run, start.weights, run.config.w_step)
        steps = _Admm(trainer, project, start, stage)
        # Fine-tuning, by its usual name, follows from this stage: it begins anew as well.
        store, state = open_checkpoint(model, prunable, run, start, (stage, "finetune"))
        if state is None:
            now, epoch, history = steps.start(), 0, TrainHistory()
        else:
            now, epoch, history = _restored(trainer, state), state.epoch, state.history
            steps.rho.replay(history)
        while epoch < run.config.admm_epochs:
            epoch += 1
            now, record = _iteration(trainer, steps, now, epoch)
            history += TrainHistory((record,))
            if store is not None:
                store.save(_state(trainer, now, epoch, history))
        trained = trainer.module.arrays()
        arrays = trained | {prunable[x]: to_array(now.projected[x]) for x in prunable}
        masks = {layer: mask.cpu().contiguous().numpy() for layer, mask in now.masks.items()}
        return TrainResult(arrays, masks, history, now.predicted_ms, trained)


def _iteration(
    trainer: Trainer, steps: _Admm, now: _Variables, iteration: int
) -> tuple[_Variables, EpochRecord]:
    begin, total, epochs = (
        time.perf_counter(),
        trainer.config.admm_epochs,
        trainer.config.iteration_epochs,
    )
    for number in range(1, epochs + 1):
        loss = trainer.epoch(
            steps.stage,
            (iteration - 1) * epochs + number,
            total * epochs,
            adjust=lambda: steps.add_penalty(now),
            restore=steps.frozen.restore,
        )
    new, change = steps.update(now)
    evaluation = steps.measure_projected(new)
    record = EpochRecord(
        steps.stage,
        iteration,
        loss,
        change.residual,
        change.relative,
        change.masks,
        new.predicted_ms,
        None if evaluation is None else evaluation.value,
        time.perf_counter() - begin,
        steps.rho.largest,
        change.dual_residual,
    )
    estimated = "" if new.predicted_ms is None else f"  estimated {new.predicted_ms:.3f} ms"
    trainer.reporter.finish(
        f"ADMM {iteration}/{total}  ρ {record.rho:.3g}  loss {loss:.4f}  "
        f"‖W−U‖ {record.residual:.4g} ({record.relative_residual:.1%} of ‖W‖)  "
        f"‖ρΔU‖ {record.dual_residual:.3g}{estimated}{percent(evaluation)}  {record.seconds:.1f} s"
    )
    told = steps.rho.observe(record)
    if told:
        trainer.reporter.finish(told)
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

    return _Variables(like("projected"), like("dual"), like("masks"), state.predicted_ms)
