"""The penalty rho of ADMM: its size, its schedule, and when training is given up.

ADMM-NN-S section 4.3 starts with a small rho and raises it with the iterations ("multi-rho").
Where W moves away from U all the same, rho is raised further; where that does not help either,
the run stops and says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from alcs_onnx.errors import AlcsError, DivergedError
from alcs_onnx.train.config import EpochRecord, TrainConfig, TrainHistory

#: A residual grows when it exceeds the one before by this factor.
_GROWTH = 1.1
#: Iterations of growth in a row before the run is given up.
_PATIENCE = 4
#: The loss is out of hand when it exceeds the least so far by this factor, and by the margin on
#: top. Heavy pruning alone takes it to that of an untrained network (2.3 for ten classes, several
#: times that where a softened teacher is followed), from which it recovers.
_LOSS_FACTOR, _LOSS_MARGIN = 20.0, 10.0
#: A relative residual (‖W − U‖ / ‖W‖) below this is convergence, whatever its course.
_SMALL = 0.02
#: A step of SGD multiplies W − U by 1 − lr * rho / (1 - momentum) in the long run: beyond a rho
#: at which lr * rho / (1 - momentum) is this, it overshoots.
_LARGEST_STEP = 1.0


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
    return pull * (1 - config.momentum) / (config.lr * steps * config.iteration_epochs)


def largest_rho(config: TrainConfig) -> float:
    """The rho that no layer exceeds: `rho_max`, and what SGD can follow at its learning rate."""
    limit = math.inf if config.rho_max is None else config.rho_max
    if config.optimizer != "sgd":
        return limit
    return min(limit, _LARGEST_STEP * (1 - config.momentum) / config.lr)


def limited_rho(config: TrainConfig) -> str:
    """Says, in a line, where a given rho is limited from the first iteration on; else empty."""
    limit = largest_rho(config)
    given = {"rho": config.rho, **{f"rho of '{x}'": rho for x, rho in config.rho_layers.items()}}
    above = [f"{name} {rho:.3g}" for name, rho in given.items() if rho is not None and rho > limit]
    if not above or not config.admm_epochs:
        return ""
    reason = (
        "rho_max"
        if limit == config.rho_max
        else f"SGD would overshoot at lr {config.lr:.3g}, momentum {config.momentum:.3g}"
    )
    return f"{', '.join(above)}: limited to {limit:.3g} ({reason})"


class Penalty:
    """rho_i of every layer, iteration by iteration.

    `steps` are the optimizer's steps of an epoch, None where the data cannot tell. Raises
    `AlcsError` for a layer of `config.rho_layers` that is not pruned.
    """

    def __init__(self, config: TrainConfig, layers: Iterable[str], steps: int | None) -> None:
        base = config.rho if config.rho is not None else automatic_rho(config, steps)
        self._base = dict.fromkeys(layers, base)
        unknown = set(config.rho_layers) - set(self._base)
        if unknown:
            raise AlcsError(f"rho is given for '{min(unknown)}', which is no pruned layer")
        self._base |= config.rho_layers
        self._config = config
        self._iteration, self._raised, self._grown = 1, 1.0, 0
        self._residual: float | None = None
        self._least_loss: float | None = None

    def __getitem__(self, layer: str) -> float:
        """rho of `layer` in the current iteration."""
        config = self._config
        steps = (self._iteration - 1) // config.rho_every
        rho = self._base[layer] * config.rho_growth**steps * self._raised
        return min(rho, largest_rho(config))

    @property
    def largest(self) -> float:
        """The largest rho of any layer, for progress lines and records."""
        return max((self[layer] for layer in self._base), default=0.0)

    def observe(self, record: EpochRecord) -> str:
        """Take in what an iteration ended with and go on to the next; says what was changed.

        Raises `DivergedError` when training diverges.
        """
        told = self._observe_residual(record)
        self._observe_loss(record)
        self._iteration += 1
        return told

    def replay(self, history: TrainHistory) -> None:
        """Get to where a run with this history was."""
        for record in history.records:
            self.observe(record)

    def _observe_residual(self, record: EpochRecord) -> str:
        before, self._residual = self._residual, record.relative_residual
        if before is None or record.relative_residual <= max(_GROWTH * before, _SMALL):
            self._grown = 0
            return ""
        self._grown += 1
        if self._grown >= _PATIENCE:
            raise DivergedError(
                f"training diverged: ‖W − U‖ has grown in {self._grown} iterations in a row, to "
                f"{record.relative_residual:.1%} of ‖W‖ at a rho of {self.largest:.3g}; "
                "lower the learning rate or ask for less pruning"
            )
        if self._config.rho_adapt == 1:
            return ""
        rho, self._raised = self.largest, self._raised * self._config.rho_adapt
        if self.largest == rho:
            return f"‖W − U‖ grew; rho is at its limit of {rho:.3g}"
        return f"‖W − U‖ grew: rho raised from {rho:.3g} to {self.largest:.3g}"

    def _observe_loss(self, record: EpochRecord) -> None:
        least = self._least_loss
        self._least_loss = record.loss if least is None else min(least, record.loss)
        if least is not None and record.loss > _LOSS_FACTOR * abs(least) + _LOSS_MARGIN:
            raise DivergedError(
                f"training diverged: the loss is {record.loss:.4g} in ADMM iteration "
                f"{record.epoch}, after {least:.4g}; lower the learning rate or rho"
            )
