"""Nodes become int8 where that pays, and nothing is removed (`--method int8`): plain ONNX.

Which nodes are int8 is a cut through the graph (`solve.regions`): fast enough for the budget, with
the least loss. The loss of a cut is estimated as the sum of what its nodes lose when each alone is
int8: errors of rounding are independent, so that the energies of their effects add up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import inf, isfinite

import numpy as np

from alcs_onnx.errors import AlcsError
from alcs_onnx.graph import conv_layers
from alcs_onnx.latency import PrecisionCosts
from alcs_onnx.pipeline.common.int8 import Quantizable
from alcs_onnx.pipeline.common.layers import LayerReport, grouped_reasons
from alcs_onnx.pipeline.common.mixed import INT8_CONV
from alcs_onnx.pipeline.common.precision import PrecisionSearch
from alcs_onnx.pipeline.common.training import Network
from alcs_onnx.pipeline.common.verification import check_quantized
from alcs_onnx.pipeline.common.workload import Workload
from alcs_onnx.pipeline.optimize.layer_losses import LayerLosses
from alcs_onnx.pipeline.optimize.method import Decided, Rewritten, RuntimesOwn
from alcs_onnx.pipeline.optimize.plan_file import SavedPlan
from alcs_onnx.pipeline.optimize.run import Run
from alcs_onnx.reporter import Reporter
from alcs_onnx.serialized import Serialized
from alcs_onnx.solve import RegionChoice, frontier, spend
from alcs_onnx.solve.closed_loop import LoopState
from alcs_onnx.types import Budget, FloatArray, Machine, PrecisionPlan, Timing

#: Cuts between the fastest and the one that loses least that are told apart.
_CORNERS = 16
#: What a cut may be slower than another by the estimate, and be as good: no measurement shows it.
_SAME = 1.02


def open_int8(run: Run) -> Int8Pruning:
    """Calibrate, profile both precisions, and find the fastest cut by measuring a handful.

    None of it depends on the budget: where that was done before it is not done again.
    """
    known = run.opened.get("int8")
    if isinstance(known, Int8Pruning):
        return replace(known, budget=run.request.budget)
    return Int8Pruning.open(run, run.workload)


def open_quantizable(run: Run, workload: Workload) -> Quantizable:
    """The model of `workload`, calibrated; raises `AlcsError` where there are no pictures."""
    if run.evidence.fit is None:
        raise AlcsError(
            "int8 needs pictures to calibrate with: --calibration PICTURES (labels are not needed) "
            "or --data"
        )
    refits = run.request.refit != "off"
    return Quantizable.open(workload, run.evidence.fit, run.reporter, refits=refits)


@dataclass(frozen=True, eq=False)
class Int8Pruning(RuntimesOwn):
    """Plans of precision for one model. See `method.Pruning`.

    `search` has the models that were measured, `layer_losses` what layers of the fastest lose.
    """

    workload: Workload
    budget: Budget
    quantizable: Quantizable
    search: PrecisionSearch
    layer_losses: LayerLosses
    machine: Machine
    reporter: Reporter

    @classmethod
    def open(cls, run: Run, workload: Workload) -> Int8Pruning:
        """For the model of `workload`, which may have lost channels before."""
        source = open_quantizable(run, workload)
        search = source.search(run.reporter)
        fastest = search.fastest.int8
        layers = tuple(x.name for x in conv_layers(workload.model) if x.name in fastest)
        return cls(
            workload,
            run.request.budget,
            source,
            search,
            LayerLosses(source, layers, run.reporter),
            workload.target.machine(workload.measuring.threads),
            run.reporter,
        )

    @property
    def costs(self) -> PrecisionCosts:
        """What each node takes in either precision."""
        return self.search.costs

    @property
    def fastest(self) -> frozenset[str]:
        """The int8 nodes of the fastest of the models that were measured."""
        return self.search.fastest.int8

    @property
    def dense(self) -> Timing:
        """The latency in float32, as measured with the candidates."""
        return self.search.dense

    @property
    def means(self) -> str:
        """In words."""
        return "int8"

    @property
    def obstacle(self) -> str:
        """The nodes by what keeps them from being int8; empty where int8 pays anywhere."""
        if self.fastest:
            return ""
        if self.costs.quantizable:
            return "no int8 node is quicker on this machine, with the conversions around it"
        reasons = grouped_reasons(self.quantizable.reasons.values(), "node")
        return f"no node can be int8 ({reasons})"

    @property
    def budget_ms(self) -> float:
        """The budget for the dense latency."""
        return self.budget.resolve(self.dense.median)

    def range_ms(self) -> tuple[float, float]:
        """Least and greatest latency that a plan reaches, by the estimate (ms)."""
        return self._ms(self.fastest), self.dense.median

    def plan(
        self, target: float, weights: Mapping[str, FloatArray] | None = None, *, finer: bool = False
    ) -> PrecisionPlan:
        """The cut that loses least within `target`, or the fastest; `finer` is not possible."""
        assert weights is None
        goal = target * self.budget_ms
        if goal >= self.dense.median:
            return self._plan(frozenset())
        if goal <= _SAME * self._ms(self.fastest):
            return self._plan(self.fastest)
        fitting = [x for x in self.corners if self._ms(x.int8) <= goal]
        best = min(fitting, key=lambda choice: choice.loss, default=None)
        start = self.fastest if best is None else best.int8
        return self._plan(spend(self._within, self.losses, start, self._cost(goal)).int8)

    def is_smallest(self, plan: PrecisionPlan) -> bool:
        """Whether no plan has a lower estimate."""
        return plan.int8 == self.fastest

    def candidate(self, plan: PrecisionPlan) -> Serialized:
        """The file with the nodes of the plan in int8."""
        return self.quantizable.quantized(plan.int8).model

    def given(self, saved: SavedPlan) -> PrecisionPlan:
        """The nodes of a file's plan."""
        if saved.precision is None:
            raise AlcsError("the plan says nothing of int8: it was made by another method")
        unknown = saved.precision.int8 - {node.name for node in self.workload.model.nodes}
        if unknown:
            raise AlcsError(f"the plan has a node that is not there: '{min(unknown)}'")
        return saved.precision

    def saved(self, plan: PrecisionPlan) -> SavedPlan:
        """The plan as it is kept in a file."""
        return SavedPlan("int8", None, None, self.quantizable.settings, precision=plan)

    def checkpointed(self, plan: PrecisionPlan) -> SavedPlan:
        """The same."""
        return self.saved(plan)

    def pruned(self, run: Run, plan: PrecisionPlan) -> Network:
        """The float model, of which nothing is removed."""
        return Network(model=self.workload.model, pruned=self.workload.model)

    def refitted(self, run: Run, plan: PrecisionPlan) -> tuple[PrecisionPlan, Network]:
        """Nothing is."""
        return plan, self.pruned(run, plan)

    def projection(self, loop: LoopState) -> None:
        """None: nothing is trained."""

    def rewrite(self, run: Run, network: Network, plan: PrecisionPlan) -> Rewritten:
        """The quantized file, whose float form was checked, and which runs wherever that does."""
        written = self.quantizable.as_model(self.quantizable.best(plan.int8, self.reporter))
        check = check_quantized(self.workload, self.quantizable.source, written, run.reporter)
        return Rewritten(model=written, check=check, mac_ratio=1.0, layers=self._rows(plan))

    def decided(self, plan: PrecisionPlan | None) -> Decided:
        """What was calibrated, and on how much."""
        settings = dict(self.quantizable.settings)
        if plan is not None and plan.int8 in self.quantizable.made:
            settings["calibrator"], _ = self.quantizable.made[plan.int8]
        return Decided(settings)

    @cached_property
    def corners(self) -> tuple[RegionChoice, ...]:
        """Cuts from the fastest to the float model, by what each loses."""
        return frontier(self._within, self.losses, _CORNERS)

    @property
    def losses(self) -> Mapping[str, float]:
        """What each layer loses when it alone is int8: the squared relative error of outputs."""
        return self.layer_losses.by_layer

    @cached_property
    def _within(self) -> PrecisionCosts:
        """The costs where nodes that the fastest model leaves float32 stay so."""
        return self.costs.only(self.fastest)

    def _ms(self, int8: frozenset[str]) -> float:
        """What a candidate measured (ms); else the estimate, between float32 and the fastest."""
        for candidate in self.search.candidates:
            if candidate.int8 == int8:
                return candidate.timing.median
        whole, least = (self._latency(x) for x in (frozenset(), self.fastest))
        if not self.fastest or whole <= least:
            return self.dense.median * self._latency(int8) / whole
        saved = (whole - self._latency(int8)) / (whole - least)
        gain = self.dense.median - self.search.fastest.timing.median
        return self.dense.median - saved * gain

    def _cost(self, ms: float) -> float:
        """What the costs of a choice add up to where the estimate is `ms`."""
        whole, least = (self._latency(x) for x in (frozenset(), self.fastest))
        gain = self.dense.median - self.search.fastest.timing.median
        return whole - (self.dense.median - ms) / gain * (whole - least)

    def _latency(self, int8: frozenset[str]) -> float:
        """What the costs of a choice add up to.

        Where that is infinite, because a tensor is between the precisions that should not be, and
        the choice was measured all the same (all nodes that can be int8), it is its share of the
        float32 model's.
        """
        found = self.costs.latency(int8)
        if isfinite(found):
            return found
        measured = (x.timing.median for x in self.search.candidates if x.int8 == int8)
        share = next(measured, inf) / self.dense.median
        return share * self.costs.latency(frozenset())

    def _plan(self, int8: frozenset[str]) -> PrecisionPlan:
        keep = {name: np.array([name not in int8]) for name in sorted(self.costs.quantizable)}
        digest = self.workload.model.digest
        return PrecisionPlan(digest, keep, self.quantizable.reasons, self._ms(int8))

    def _rows(self, plan: PrecisionPlan) -> tuple[LayerReport, ...]:
        """A row for each convolution: its type, and why it is not int8."""
        costs, chosen = self.costs.by_name, plan.int8
        rows = []
        for layer in conv_layers(self.workload.model):
            cost, int8 = costs.get(layer.name), layer.name in chosen
            why = plan.reasons.get(layer.name) or (
                "loses less in float32" if layer.name in self.fastest else "quicker in float32"
            )
            rows.append(
                LayerReport(
                    layer=layer.name,
                    weight_shape=layer.weight_shape,
                    output_shape=layer.output_shape,
                    macs=layer.macs,
                    op=INT8_CONV if int8 else "Conv",
                    simd_group=1,
                    density=1.0,
                    fused="",
                    dense_ms=None if cost is None else cost.float_ms,
                    predicted_ms=None if cost is None or not int8 else cost.int8_ms,
                    measured_ms=None,
                    reason=None if int8 else why,
                )
            )
        return tuple(rows)
