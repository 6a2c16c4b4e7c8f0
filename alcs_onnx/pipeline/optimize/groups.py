"""Groups of weights are removed, and every Conv becomes sparse (`--method simd` and its like).

What a group is, is the workload's structure. The plan is the projection of the weights onto the
budget (ALCS eq. 9b) by a solver of `solve.SOLVERS`; where there are pictures to refit by, layers
keep as much as the network loses least by (`refitting`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from typing import Self

import numpy as np

from alcs_onnx.errors import AlcsError
from alcs_onnx.graph import conv_layers, loadable, model_macs, skipped_convs
from alcs_onnx.importance import SCORES, scores
from alcs_onnx.latency import Estimator
from alcs_onnx.pipeline.common.layers import grouped_reasons, layer_reports, with_errors
from alcs_onnx.pipeline.common.pruned import initializer_masks, masked_model, sparse_model
from alcs_onnx.pipeline.common.shown import unfit_layers
from alcs_onnx.pipeline.common.training import Network
from alcs_onnx.pipeline.common.verification import check_written
from alcs_onnx.pipeline.common.workload import Workload
from alcs_onnx.pipeline.optimize.exclusion import slower_layers
from alcs_onnx.pipeline.optimize.kept_refit import kept_refit
from alcs_onnx.pipeline.optimize.method import Decided, Rewritten
from alcs_onnx.pipeline.optimize.plan_file import SavedPlan
from alcs_onnx.pipeline.optimize.refitting import (
    Refitting,
    open_refitting,
    refit_kept,
    refits,
)
from alcs_onnx.pipeline.optimize.run import Run
from alcs_onnx.posttraining import Refit
from alcs_onnx.serialized import Serialized
from alcs_onnx.solve import project, reachable_range
from alcs_onnx.solve.closed_loop import LoopState
from alcs_onnx.structures import Structure
from alcs_onnx.types import (
    BoolArray,
    Budget,
    ConvLayer,
    FloatArray,
    LatencyTable,
    Machine,
    PruningPlan,
    Shape,
    Timing,
)


def open_groups(run: Run) -> GroupPruning:
    """Measure the latency table, or take the one that there is (ALCS section III-C)."""
    groups = GroupPruning.by_table(run, run.workload, run.tables.of_layers(run.workload))
    return groups.refitting_for(run)


@dataclass(frozen=True, eq=False)
class GroupPruning:
    """Plans of groups for one model by its measured curves. See `method.Pruning`."""

    workload: Workload
    table: LatencyTable
    budget: Budget
    solver: str
    score: str = SCORES.default
    excluded: Mapping[str, str] = field(default_factory=dict)
    refitting: Refitting | None = None

    @classmethod
    def by_table(cls, run: Run, workload: Workload, table: LatencyTable) -> GroupPruning:
        """The groups of `workload`, whose model may have lost channels before."""
        request = run.request
        return cls(
            workload,
            table,
            request.budget,
            request.projection,
            request.score,
            dict(table.left_alone),
        )

    def refitting_for(self, run: Run) -> Self:
        """With what is left refitted where `run` has pictures for that."""
        if not refits(run) or not self.layers:
            return self
        unfit = unfit_layers(self.workload.model, self.layers)
        found = self.excluding(unfit) if unfit else self
        if unfit and run.trains:
            run.reporter.note(
                f"{grouped_reasons(unfit.values(), 'layer')}: they keep all weights (--refit off "
                "prunes and trains them, too)"
            )
        if not found.layers:
            return self
        return replace(found, refitting=open_refitting(run, found.workload, found.layers))

    @property
    def means(self) -> str:
        """In words."""
        return "removing weights"

    @property
    def obstacle(self) -> str:
        """The layers by what keeps them from being pruned; empty where one can be."""
        if self.layers:
            return ""
        skipped = skipped_convs(self.workload.model).values()
        reasons = [*skipped, *self._reasons_dense({}).values()]
        return f"no layer can be pruned ({grouped_reasons(reasons, 'layer')})"

    @property
    def dense(self) -> Timing:
        """The dense latency of the table."""
        return self.table.dense

    @property
    def machine(self) -> Machine:
        """Where the table was measured."""
        return self.table.machine

    @property
    def budget_ms(self) -> float:
        """The budget for the dense latency of the table."""
        return self.budget.resolve(self.table.dense.median)

    @cached_property
    def layers(self) -> Mapping[str, ConvLayer]:
        """The layers that the solver may prune, by name."""
        return {x.name: x for x in self.workload.prunable if x.name not in self.excluded}

    def range_ms(self) -> tuple[float, float]:
        """Least and greatest latency that a plan reaches, by the estimate (ms)."""
        return reachable_range(
            self._estimator, {name: prod(shape) for name, shape in self._mask_shapes.items()}
        )

    def plan(
        self, target: float, weights: Mapping[str, FloatArray] | None = None, *, finer: bool = False
    ) -> PruningPlan:
        """The projection of the weights; every number of groups is possible, so `finer` is not."""
        low, high = self.range_ms()
        goal = min(max(target * self.budget_ms, low), high)
        if self.refitting is not None and self.refitting.levels:
            return self.plan_of(self.refitting.keep(self.layers, self._estimator, goal, weights))
        return self.plan_of(project(self.norms(weights), self._estimator, goal, method=self.solver))

    def norms(self, weights: Mapping[str, FloatArray] | None = None) -> Mapping[str, FloatArray]:
        """The scores of all groups by layer, in the shape of group masks."""
        found = self._weights if weights is None else weights
        return scores(found, self.layers, self._structure, self.score)

    def is_smallest(self, plan: PruningPlan) -> bool:
        """Whether no plan has a lower estimate."""
        return plan.predicted_ms <= 1.001 * self.range_ms()[0]

    def candidate(self, plan: PruningPlan) -> Serialized:
        """The sparse model of the plan, with the weights as they are."""
        workload = self.workload
        return loadable(
            sparse_model(workload.model, plan, self.excluded, workload.simd_group).model
        )

    def given(self, saved: SavedPlan) -> PruningPlan | None:
        """The groups of a file's plan. Channels may have gone and weights been repaired before."""
        plan, wanted = saved.groups, self.workload
        if plan is None:
            return None
        if plan.structure != wanted.structure:
            raise AlcsError(
                f"the plan keeps groups of structure '{plan.structure}', not '{wanted.structure}'"
            )
        if wanted.grouping.has_group_size and plan.simd_group != wanted.simd_group:
            raise AlcsError(
                f"the plan is for groups of {plan.simd_group}, not {wanted.simd_group}: "
                f"use --group-size {plan.simd_group}"
            )
        for name, mask in plan.keep.items():
            shape = self._mask_shapes.get(name)
            if shape is None:
                raise AlcsError(f"the plan has a layer that cannot be pruned here: '{name}'")
            if mask.shape != shape:
                raise AlcsError(
                    f"the plan's mask of layer '{name}' is {list(mask.shape)}, not {list(shape)}"
                )
        return plan

    def saved(self, plan: PruningPlan) -> SavedPlan:
        """The plan as it is kept in a file."""
        return self.checkpointed(plan)

    def checkpointed(self, plan: PruningPlan) -> SavedPlan:
        """The groups alone."""
        return SavedPlan(self.workload.structure, None, plan, {"projection": self.solver})

    def excluding(self, layers: Mapping[str, str]) -> Self:
        """The same with `layers` (name -> reason) left to the runtime's own Conv."""
        return replace(self, excluded={**self.excluded, **layers})

    def slower(self, run: Run, plan: PruningPlan) -> Mapping[str, str]:
        """Layers that the runtime's own Conv runs quicker, where the whole gains by it."""

        def build(wanted: PruningPlan, left: Mapping[str, str]) -> Serialized:
            return self.excluding(left).candidate(wanted)

        return slower_layers(run.reporter, self.workload, self.table, plan, self.excluded, build)

    def pruned(self, run: Run, plan: PruningPlan) -> Network:
        """The model at full size, with masks for what is removed."""
        model, layers = self.workload.model, self.layers
        weights = {layer.weight for layer in conv_layers(model)}
        masks = initializer_masks(model, plan)
        return Network(
            model=model,
            pruned=masked_model(model, plan),
            prunable={name: layer.weight for name, layer in layers.items()},
            weight_masks=self.weight_masks(plan),
            # A removed filter takes its bias along (`rewrite.filter_masks`).
            bias_masks={name: mask for name, mask in masks.items() if name not in weights},
        )

    def refitted(self, run: Run, plan: PruningPlan) -> tuple[PruningPlan, Network]:
        """The plan with as many groups of each layer, maybe others, and all layers refitted."""
        if self.refitting is None:
            return plan, self.pruned(run, plan)
        model, wanted = self.workload.model, plan
        found = kept_refit(run, model, plan.keep, lambda: self._refit(run, wanted))
        for text in found.notes:
            run.reporter.note(text)
        plan = self._plan_left(plan, found)
        model = model.with_initializers(found.arrays)
        network, pruned = self.pruned(run, plan), masked_model(model, plan)
        return plan, replace(
            network, model=model, pruned=pruned, refitted=True, errors=found.errors
        )

    def _refit(self, run: Run, plan: PruningPlan) -> Refit:
        assert self.refitting is not None
        found = self.refitting.refit(self.layers, plan.keep, run.reporter)
        biases = self.pruned(run, self._plan_left(plan, found)).bias_masks
        if all(mask.all() for mask in biases.values()):
            return found
        # Which filters go is known now: layers behind them see nothing, not their mean.
        return refit_kept(run, self.workload.model, found.supports, biases)

    def _plan_left(self, plan: PruningPlan, found: Refit) -> PruningPlan:
        """`plan` with the groups that refitting chose."""
        supports = found.supports
        keep = {
            name: self._structure.group_mask(supports[name], self.layers[name])
            if name in supports
            else mask
            for name, mask in plan.keep.items()
        }
        return replace(plan, keep=keep)

    def projection(self, loop: LoopState) -> GroupProjection:
        """The U-step of ADMM: the solver, asked for the target that the measurements settled."""
        return GroupProjection(self, loop)

    def rewrite(self, run: Run, network: Network, plan: PruningPlan) -> Rewritten:
        """Every Conv a SimdSparseConv, checked against the masked model of full size."""
        workload = self.workload
        rewritten = sparse_model(network.pruned, plan, self.excluded, workload.simd_group)
        written = rewritten.model
        return Rewritten(
            model=written,
            check=check_written(
                workload, written, masked_model(network.pruned, plan), run.reporter
            ),
            mac_ratio=rewritten.mac_ratio * rewritten.dense_macs / model_macs(run.workload.model),
            layers=with_errors(
                layer_reports(workload.model, rewritten, reasons=plan.reasons, table=self.table),
                network.errors,
            ),
        )

    def decided(self, plan: PruningPlan | None) -> Decided:
        """The solver, the group size where there is one, and the curves."""
        workload = self.workload
        size = {"simd_group": workload.simd_group} if workload.grouping.has_group_size else {}
        chosen: dict[str, object] = {"projection": self.solver, "group_score": self.score}
        if self.refitting is not None:
            by = chosen if self.refitting.by == "weights" else {}
            chosen = {
                **by,
                "shares_by": self.refitting.by,
                "refitted_on": sum(self.refitting.shown.sizes),
            }
        settings = {**chosen, **size}
        return Decided(settings, curves=self.table.curves)

    @cached_property
    def _structure(self) -> Structure:
        return self.workload.grouping

    @cached_property
    def _estimator(self) -> Estimator:
        return Estimator.from_table(replace(self.table, left_alone=self.excluded))

    @cached_property
    def _weights(self) -> Mapping[str, FloatArray]:
        arrays = self.workload.model.initializers
        return {name: np.asarray(arrays[x.weight], np.float32) for name, x in self.layers.items()}

    @cached_property
    def _mask_shapes(self) -> Mapping[str, Shape]:
        return {name: self._structure.mask_shape(layer) for name, layer in self.layers.items()}

    def weight_masks(self, plan: PruningPlan) -> dict[str, BoolArray]:
        """The masks of `plan` in the shape of the weights, by layer."""
        layers = {layer.name: layer for layer in conv_layers(self.workload.model)}
        return {
            name: self._structure.weight_mask(keep, layers[name])
            for name, keep in plan.keep.items()
        }

    def plan_of(self, keep: Mapping[str, BoolArray]) -> PruningPlan:
        """The plan of these group masks by layer: with its estimate, and why others keep all."""
        groups = {name: int(mask.sum()) for name, mask in keep.items()}
        return PruningPlan(
            self.workload.model.digest,
            self.workload.simd_group,
            dict(keep),
            self._reasons_dense(keep),
            predicted_ms=self._estimator.model_ms(groups),
            structure=self.workload.structure,
        )

    def _reasons_dense(self, keep: Mapping[str, BoolArray]) -> dict[str, str]:
        """Why the layers that are not in `keep` keep all their weights."""
        return {
            layer.name: self.excluded.get(layer.name) or self.workload.reason_dense(layer)
            for layer in conv_layers(self.workload.model)
            if layer.name not in keep
        }


@dataclass(frozen=True, eq=False)
class GroupProjection:
    """The projection onto {W : T(W) <= target} (ALCS eq. 9b), by the solver of a pruning."""

    pruning: GroupPruning
    loop: LoopState

    def __call__(self, weights: Mapping[str, FloatArray]) -> tuple[Mapping[str, BoolArray], float]:
        """Weight masks by layer, and the estimated latency (ms) as measurements corrected it."""
        plan = self.pruning.plan(self.loop.target, weights)
        return self.pruning.weight_masks(plan), plan.predicted_ms * self.loop.correction

    def plan(self, masks: Mapping[str, BoolArray]) -> PruningPlan:
        """The plan that weight masks stand for; those of layers that are not pruned are ignored."""
        layers, structure = self.pruning.layers, self.pruning.workload.grouping
        return self.pruning.plan_of(
            {
                name: structure.group_mask(mask, layers[name])
                for name, mask in masks.items()
                if name in layers
            }
        )
