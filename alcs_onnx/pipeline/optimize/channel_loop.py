"""Finding the channels to keep: measure, solve, shrink, measure, correct (SP-LAMP section 3.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf

import numpy as np

from alcs_onnx.coupling import Coupling
from alcs_onnx.errors import AlcsError, BudgetError
from alcs_onnx.graph import Model
from alcs_onnx.importance import channel_scores
from alcs_onnx.latency import ChannelEstimator
from alcs_onnx.pipeline.common.workload import Note, Workload
from alcs_onnx.pipeline.optimize.measured import AIM, ATTEMPTS, NARROW, Measured
from alcs_onnx.rewrite import shrink
from alcs_onnx.solve import best_channels, solve_channels, stage_budgets
from alcs_onnx.types import (
    BoolArray,
    Budget,
    ChannelGroup,
    ChannelPlan,
    ChannelTable,
    FloatArray,
)


@dataclass(frozen=True)
class ChannelOptions:
    """How channels are scored and chosen.

    `score` and `solver` are names of the registries, `stages` the k of section 3.3, and
    `contributions` says whether latencies of groups are "measured" or "predicted". Every group
    keeps the share `min_share` of its channels: one that is next to nothing cuts the network in
    two, and cannot be trained back.
    """

    score: str = "sp-lamp"
    solver: str = "knapsack"
    stages: int = 4
    contributions: str = "measured"
    min_share: float = 0.125

    def __post_init__(self) -> None:
        if not 0 <= self.min_share <= 1:
            raise AlcsError(f"a least share of {self.min_share} is not between 0 and 1")


@dataclass(frozen=True)
class ChannelCandidate(Measured):
    """A model without some of its channels, and what it measured."""

    plan: ChannelPlan
    model: Model


class ChannelLoop:
    """Finds channels whose removal makes the measured latency fit a budget."""

    def __init__(
        self,
        workload: Workload,
        table: ChannelTable,
        coupling: Coupling,
        budget: Budget,
        options: ChannelOptions,
        note: Note,
        gradients: Mapping[str, FloatArray] | None = None,
    ) -> None:
        self.workload, self.table, self.coupling, self.budget = workload, table, coupling, budget
        self.options = options
        self._note, self._gradients = note, gradients
        self.estimator = ChannelEstimator.from_table(table)

    @property
    def dense_ms(self) -> float:
        """The dense latency of the table."""
        return self.table.dense.median

    @property
    def budget_ms(self) -> float:
        """The budget for the dense latency of the table."""
        return self.budget.resolve(self.table.dense.median)

    def range_ms(self) -> tuple[float, float]:
        """Least and greatest latency that a plan reaches, by the estimate (ms)."""
        return self.estimator.latency(self._least()), self.estimator.dense_ms

    def meet(self) -> ChannelCandidate:
        """A candidate within the budget, or the closest that the attempts gave.

        What is asked of the solver follows the measurements, and once some were above and
        some below the budget it stays between those. Raises `BudgetError` when even the
        smallest model is above the budget.
        """
        best: ChannelCandidate | None = None
        goal = AIM * self.budget_ms
        below, above = 0.0, inf
        low, _ = self.range_ms()
        if goal < low:
            # Only by the estimate, which is least to be trusted here.
            best = self._smallest()
            goal = max(low, low * AIM / best.share)
            below = low
        tried: set[bytes] = set()
        measured_only = True
        for number in range(1, ATTEMPTS + 1):
            plan = self._solved(goal, measured_only, best)
            if measured_only and _fingerprint(plan) in tried:
                # Nothing in between of what was measured: interpolate.
                measured_only = False
                plan = self._solved(goal, measured_only, best)
            if _fingerprint(plan) in tried:
                break
            tried.add(_fingerprint(plan))
            candidate = self.measure(plan)
            self._note(candidate.attempt(number, plan.predicted_ms))
            if best is None or candidate.distance < best.distance:
                best = candidate
            if NARROW[0] <= candidate.share <= NARROW[1]:
                return candidate
            if candidate.met and all(mask.all() for mask in plan.keep.values()):
                return candidate
            if candidate.share > NARROW[1]:
                above = min(above, goal)
            else:
                below = max(below, goal)
            goal *= AIM / candidate.share
            if not below < goal < above:
                goal = (below * above) ** 0.5
        assert best is not None
        return best

    def _smallest(self) -> ChannelCandidate:
        """The smallest model, measured; raises `BudgetError` when it is above the budget."""
        smallest = self.measure(self._plan(self._fewest()))
        if not smallest.met:
            raise BudgetError(
                f"the budget of {smallest.budget_ms:.4g} ms cannot be reached by removing "
                "channels: with the least that is kept the model measures "
                f"{smallest.sparse.median:.4g} ms, dense {smallest.dense.median:.4g} ms"
            )
        return smallest

    def _solved(
        self, goal_ms: float, measured_only: bool, best: ChannelCandidate | None
    ) -> ChannelPlan:
        """The plan for an estimated latency, the smallest one where that cannot be reached."""
        try:
            return self.solve(goal_ms, measured_only)
        except BudgetError:
            if best is None:
                raise
            return self._plan(self._fewest())

    def solve(self, latency_ms: float, measured_only: bool = True) -> ChannelPlan:
        """The plan of the solver for an estimated latency, reached in stages.

        Groups keep numbers of channels that were measured, or, without `measured_only`, any.

        Between stages the scores are taken anew, from the weights that are left, and so are
        the contributions, by the estimate. Raises `BudgetError` with the reachable range.
        """
        low, high = self.range_ms()
        if latency_ms < low:
            raise BudgetError(
                f"a latency of {latency_ms:.4g} ms cannot be reached by removing channels: "
                f"by the estimate this model can take {low:.4g} to {high:.4g} ms"
            )
        try:
            return self._in_stages(latency_ms, self.options.stages, measured_only)
        except BudgetError:
            # What early stages took may be in the way of the last one.
            return self._in_stages(latency_ms, 1, measured_only)

    def _in_stages(self, latency_ms: float, stages: int, measured_only: bool) -> ChannelPlan:
        keep = {g.name: np.ones(g.channels, dtype=bool) for g in self.coupling.prunable}
        for budget in stage_budgets(self.estimator.dense_ms, latency_ms, stages):
            groups = [_restricted(group, keep[group.name]) for group in self.coupling.prunable]
            weights = self._left(keep)
            scores = {
                group.name: channel_scores(weights, group, self.options.score, self._gradients)
                for group in groups
            }
            found = solve_channels(
                groups,
                scores,
                self._table_at(keep),
                budget,
                method=self.options.solver,
                min_channels=self._least(),
                measured_only=measured_only,
            )
            for name, mask in found.items():
                keep[name][np.flatnonzero(keep[name])[~mask]] = False
        return self._plan(keep)

    def measure(self, plan: ChannelPlan) -> ChannelCandidate:
        """Build `plan` and time it beside the dense file."""
        model = shrink(self.workload.model, self.coupling, plan.keep)
        dense, sparse = self.workload.against_dense(model.serialize())
        return ChannelCandidate(dense, sparse, self.budget.resolve(dense.median), plan, model)

    def _plan(self, keep: Mapping[str, BoolArray]) -> ChannelPlan:
        kept = {name: int(mask.sum()) for name, mask in keep.items()}
        return ChannelPlan(
            self.workload.model.digest,
            dict(keep),
            dict(self.coupling.frozen),
            self.estimator.latency(kept),
        )

    def _least(self) -> dict[str, int]:
        """The fewest channels of each group: what was measured of `min_share` and more."""
        least = {}
        for group in self.coupling.prunable:
            wanted = self.options.min_share * group.channels
            kept = self.table.curve(group.name).kept
            least[group.name] = next(count for count in kept if count >= wanted)
        return least

    def _fewest(self) -> dict[str, BoolArray]:
        """The least that was measured of every group, the channels of highest score."""
        weights, least = self.workload.model.initializers, self._least()
        keep = {}
        for group in self.coupling.prunable:
            scores = channel_scores(weights, group, self.options.score, self._gradients)
            keep[group.name] = best_channels(scores, least[group.name])
        return keep

    def _table_at(self, keep: Mapping[str, BoolArray]) -> ChannelTable:
        """The contributions of a model that keeps `keep` already (eq. 7 from there)."""
        kept = {name: int(mask.sum()) for name, mask in keep.items()}
        now = self.estimator.latency(kept)
        curves = []
        for curve in self.table.curves:
            left = kept[curve.group]
            counts = tuple(sorted({count for count in curve.kept if count < left} | {left}))
            times = tuple(self.estimator.latency({**kept, curve.group: c}) for c in counts)
            curves.append(
                replace(curve, kept=counts, times_ms=times, mean=times, stddev=(0.0,) * len(times))
            )
        dense = replace(self.table.dense, median=now)
        return replace(self.table, dense=dense, curves=tuple(curves))

    def _left(self, keep: Mapping[str, BoolArray]) -> Mapping[str, FloatArray]:
        """The weights without what the removed channels read and compute."""
        arrays = dict(self.workload.model.initializers)
        copies: dict[str, FloatArray] = {}
        for slot, positions in self.coupling.removed(keep):
            if slot.tensor not in copies:
                copies[slot.tensor] = arrays[slot.tensor].copy()
            np.moveaxis(copies[slot.tensor], slot.axis, 0)[positions] = 0
        return arrays | copies


def _fingerprint(plan: ChannelPlan) -> bytes:
    return b"".join(mask.tobytes() for mask in plan.keep.values())


def channel_masks(
    model: Model, coupling: Coupling, keep: Mapping[str, BoolArray]
) -> dict[str, BoolArray]:
    """Masks in the shape of the weights, by conv layer: False where a removed channel is."""
    layers = {layer.weight: layer for layer in model.conv_layers}
    masks: dict[str, BoolArray] = {}
    for slot, positions in coupling.removed(keep):
        if slot.tensor in layers:
            layer = layers[slot.tensor]
            mask = masks.setdefault(layer.name, np.ones(layer.weight_shape, dtype=bool))
            np.moveaxis(mask, slot.axis, 0)[positions] = False
    return masks


def _restricted(group: ChannelGroup, keep: BoolArray) -> ChannelGroup:
    """The group as it is when only those channels are left."""
    slots = tuple(replace(slot, indices=slot.indices[keep]) for slot in group.slots)
    return replace(group, channels=int(keep.sum()), slots=slots)
