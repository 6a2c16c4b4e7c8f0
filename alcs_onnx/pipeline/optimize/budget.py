"""The closed loop of the budget: solve with the estimate, build, measure, correct, again.

The estimate of a latency table is off by a few percent, and machines drift between the
profile and the run. What is promised is the measured latency, so each candidate is timed in
turns with the dense model, and the ratio of measured to estimated corrects the next target.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isfinite, prod

import numpy as np

from alcs_onnx.errors import BudgetError
from alcs_onnx.graph import Model, conv_layers, serialize
from alcs_onnx.importance import scores
from alcs_onnx.latency import Estimator
from alcs_onnx.pipeline.common.pruned import initializer_masks, sparse_model
from alcs_onnx.pipeline.common.workload import Note, Workload
from alcs_onnx.pipeline.optimize.measured import AIM, ATTEMPTS, NARROW, Measured
from alcs_onnx.pipeline.optimize.plan_file import Calibration
from alcs_onnx.rewrite import RewriteResult
from alcs_onnx.solve import project, reachable_range
from alcs_onnx.types import (
    BoolArray,
    Budget,
    ConvLayer,
    FloatArray,
    LatencyTable,
    PruningPlan,
    Shape,
)

#: A layer is tried as the runtime's own Conv when that was quicker by this factor, and the
#: change is kept when the whole model gains this share.
_SLOWER, _GAIN = 1.15, 0.02


@dataclass(frozen=True)
class Candidate(Measured):
    """A pruned, rewritten model and what it measured."""

    plan: PruningPlan
    rewritten: RewriteResult


class BudgetLoop:
    """Finds plans whose measured latency fits the budget, and learns from each measurement."""

    def __init__(
        self,
        workload: Workload,
        table: LatencyTable,
        budget: Budget,
        projection: str,
        on_note: Note,
    ) -> None:
        self.workload = workload
        self.table = table
        self.budget = budget
        self.left_alone: dict[str, str] = dict(table.left_alone)
        self._estimator = Estimator.from_table(table)
        self._structure = workload.grouping
        self._projection = projection
        self._note = on_note
        self._dense_now = table.dense.median
        # Measured / estimated, both as shares of the dense latency measured beside them, so
        # that a machine that slows down as a whole does not disturb it.
        self._correction = 1.0

    @property
    def layers(self) -> dict[str, ConvLayer]:
        """The layers that the solver may prune now, by name."""
        return {x.name: x for x in self.workload.prunable if x.name not in self.left_alone}

    @property
    def dense_ms(self) -> float:
        """The dense latency as last measured."""
        return self._dense_now

    @property
    def budget_ms(self) -> float:
        """The budget for the dense latency as last measured."""
        return self.budget.resolve(self._dense_now)

    @property
    def calibration(self) -> Calibration:
        """What the measurements so far have taught, for a run that may be interrupted."""
        return Calibration(self._correction, self._dense_now, dict(self.left_alone))

    def restore(self, found: Calibration) -> None:
        """Go on from what another run has learnt."""
        self._correction, self._dense_now = found.correction, found.dense_ms
        self._leave_alone(found.left_alone)

    def weights(self) -> dict[str, FloatArray]:
        """The trained weights of the layers that may be pruned, by layer name."""
        arrays = self.workload.model.initializers
        return {name: np.asarray(arrays[x.weight], np.float32) for name, x in self.layers.items()}

    def range_ms(self) -> tuple[float, float]:
        """Least and greatest latency that a plan reaches, by the corrected estimate (ms)."""
        low, high = reachable_range(self._estimator, self._sizes())
        return self._corrected(low), self._corrected(high)

    def project(self, weights: Mapping[str, FloatArray]) -> PruningPlan:
        """The plan that the solver chooses for the budget, or the nearest reachable one."""
        low, high = reachable_range(self._estimator, self._sizes())
        goal = AIM * self.budget_ms / self._corrected(1.0)
        norms = scores(weights, self.layers, self._structure)
        keep = project(norms, self._estimator, min(max(goal, low), high), method=self._projection)
        return self._plan(keep)

    def plan_of(self, masks: Mapping[str, BoolArray]) -> PruningPlan:
        """The plan that masks in the shape of the weights stand for; `bias_masks` are ignored."""
        layers = self.layers
        return self._plan(
            {
                name: np.asarray(
                    self._structure.grouped(mask.astype(np.float32), layers[name]).any(axis=-1),
                    np.bool_,
                )
                for name, mask in masks.items()
                if name in layers
            }
        )

    def weight_masks(self, plan: PruningPlan) -> dict[str, BoolArray]:
        """The masks of `plan` in the shape of the weights, by layer name."""
        layers = {layer.name: layer for layer in conv_layers(self.workload.model)}
        return {
            name: self._structure.weight_mask(keep, layers[name])
            for name, keep in plan.keep.items()
        }

    def bias_masks(self, plan: PruningPlan) -> dict[str, BoolArray]:
        """The masks of biases that go with what `plan` removes, by initializer.

        A removed filter takes its bias along (`rewrite.filter_masks`); with other structures
        there are none.
        """
        weights = {layer.weight for layer in conv_layers(self.workload.model)}
        masks = initializer_masks(self.workload.model, plan)
        return {name: mask for name, mask in masks.items() if name not in weights}

    def measure(self, plan: PruningPlan, model: Model | None = None) -> Candidate:
        """Build `plan` on `model` (default: the loaded one) and time it beside the dense file."""
        source = model or self.workload.model
        rewritten = sparse_model(source, plan, self.left_alone, self.workload.simd_group)
        dense, sparse = self.workload.against_dense(serialize(rewritten.model))
        return Candidate(dense, sparse, self.budget.resolve(dense.median), plan, rewritten)

    def meet(
        self, weights: Mapping[str, FloatArray], first: PruningPlan | None = None
    ) -> Candidate:
        """A candidate within the budget, or the closest that the attempts gave.

        `first` is tried before the solver is asked. Raises `BudgetError` when even the
        smallest plan measures above the budget.
        """
        best: Candidate | None = None
        for attempt in range(1, ATTEMPTS + 1):
            plan = first if first is not None and attempt == 1 else self.project(weights)
            candidate = self.measure(plan)
            self._note(candidate.attempt(attempt, plan.predicted_ms))
            if best is None or candidate.distance < best.distance:
                best = candidate
            if NARROW[0] <= candidate.share <= NARROW[1]:
                return candidate
            keeps_all = all(mask.all() for mask in plan.keep.values())
            if candidate.met and keeps_all:
                return candidate
            smallest = self._estimated(plan) <= 1.001 * self._range()[0]
            if not candidate.met and smallest and not self._in_reach(candidate):
                raise BudgetError(
                    f"the budget of {candidate.budget_ms:.3f} ms cannot be reached: with next to "
                    f"nothing kept the model measures {candidate.sparse.median:.3f} ms, dense "
                    f"{candidate.dense.median:.3f} ms"
                )
            self._learn(candidate, attempt)
        assert best is not None
        return best

    def leave_slower_alone(self, candidate: Candidate) -> bool:
        """Try layers that the runtime's own Conv runs quicker; True if that won and was kept."""
        chosen = {}
        for curve in self.table.curves:
            stored = self._stored(candidate.plan).get(curve.layer, curve.groups[-1])
            ours = float(np.interp(stored, curve.groups, curve.times))
            if isfinite(curve.dense_time) and ours > _SLOWER * curve.dense_time:
                chosen[curve.layer] = (
                    f"faster as the runtime's own Conv: {curve.dense_time:.3f} ms, ours {ours:.3f}"
                )
        if not chosen:
            return False
        keep = {name: mask for name, mask in candidate.plan.keep.items() if name not in chosen}
        variant = sparse_model(
            self.workload.model,
            replace(candidate.plan, keep=keep),
            chosen,
            self.workload.simd_group,
        )
        with_ours, with_theirs = self.workload.time(
            [serialize(candidate.rewritten.model), serialize(variant.model)]
        )
        gain = 1 - float(np.median(with_theirs)) / float(np.median(with_ours))
        self._note(
            f"{len(chosen)} layers measured slower than the runtime's own Conv: leaving them "
            f"alone changes the whole by {-100 * gain:+.1f} %"
        )
        if gain < _GAIN:
            return False
        self._leave_alone(chosen)
        return True

    def _leave_alone(self, layers: Mapping[str, str]) -> None:
        self.left_alone |= layers
        self._estimator = Estimator.from_table(replace(self.table, left_alone=self.left_alone))

    def _plan(self, keep: Mapping[str, BoolArray]) -> PruningPlan:
        reasons = {
            layer.name: self.left_alone.get(layer.name) or self.workload.reason_dense(layer)
            for layer in conv_layers(self.workload.model)
            if layer.name not in keep
        }
        plan = PruningPlan(
            self.workload.model.digest,
            self.workload.simd_group,
            dict(keep),
            reasons,
            predicted_ms=0.0,
            structure=self.workload.structure,
        )
        return replace(plan, predicted_ms=self._corrected(self._estimated(plan)))

    def _learn(self, candidate: Candidate, attempt: int) -> None:
        """Take the measurement into the correction, cautiously once it should have settled."""
        measured = candidate.sparse.median / candidate.dense.median
        found = measured / (self._estimated(candidate.plan) / self.table.dense.median)
        self._correction = found if attempt <= 2 else float(np.sqrt(self._correction * found))
        self._dense_now = candidate.dense.median

    def _in_reach(self, candidate: Candidate) -> bool:
        """Whether noise alone may have kept the smallest plan above the budget."""
        return candidate.share < 1.02

    def _corrected(self, estimated_ms: float) -> float:
        """An estimate of the table as latency on the machine as it is now (ms)."""
        return estimated_ms * self._correction * self._dense_now / self.table.dense.median

    def _estimated(self, plan: PruningPlan) -> float:
        return self._estimator.model_ms(self._stored(plan))

    @staticmethod
    def _stored(plan: PruningPlan) -> dict[str, int]:
        return {name: int(mask.sum()) for name, mask in plan.keep.items()}

    def mask_shapes(self) -> dict[str, Shape]:
        """The shape of the mask of each layer that may be pruned."""
        return {name: self._structure.mask_shape(x) for name, x in self.layers.items()}

    def _sizes(self) -> dict[str, int]:
        return {name: prod(shape) for name, shape in self.mask_shapes().items()}

    def _range(self) -> tuple[float, float]:
        return reachable_range(self._estimator, self._sizes())
