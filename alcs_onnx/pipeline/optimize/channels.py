"""Whole channels are removed, and the result is plain ONNX (`--method channel`): SP-LAMP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property

import numpy as np

from alcs_onnx.coupling import Coupling
from alcs_onnx.errors import AlcsError, BudgetError
from alcs_onnx.graph import Model, conv_layers, loadable, model_macs
from alcs_onnx.importance import channel_scores, needs_gradients
from alcs_onnx.latency import ChannelEstimator
from alcs_onnx.pipeline.common.layers import LayerReport, with_errors
from alcs_onnx.pipeline.common.tables import coupling_of
from alcs_onnx.pipeline.common.training import Network
from alcs_onnx.pipeline.common.verification import check_written
from alcs_onnx.pipeline.common.workload import Workload
from alcs_onnx.pipeline.optimize.kept_refit import kept_refit
from alcs_onnx.pipeline.optimize.method import Decided, Rewritten, RuntimesOwn
from alcs_onnx.pipeline.optimize.plan_file import SavedPlan
from alcs_onnx.pipeline.optimize.refitting import refit_kept, refits
from alcs_onnx.pipeline.optimize.request import ChannelOptions
from alcs_onnx.pipeline.optimize.result import ChannelReport
from alcs_onnx.pipeline.optimize.run import Run
from alcs_onnx.posttraining import Refit, fully_connected, rows_first
from alcs_onnx.rewrite import masked, shrink
from alcs_onnx.serialized import Serialized
from alcs_onnx.solve import best_channels
from alcs_onnx.solve.closed_loop import LoopState
from alcs_onnx.solve.stages import left_of, solve_in_stages
from alcs_onnx.types import (
    BoolArray,
    Budget,
    ChannelPlan,
    ChannelTable,
    FloatArray,
    InitializerName,
    Machine,
    Timing,
)


def open_channels(run: Run) -> ChannelPruning:
    """Analyse the model and measure, or load, the contributions of its channel groups."""
    workload, options = run.workload, run.request.channels
    coupling = coupling_of(workload.model)
    if needs_gradients(options.score) and run.trainer is None:
        raise AlcsError(f"the score '{options.score}' needs --data to take gradients from")
    table = run.tables.of_channels(workload, coupling, options.contributions)
    if table.predicted and table.error is not None:
        run.reporter.note(f"predicted savings are off by {100 * table.error:.0f} % where measured")
    gradients = None
    if needs_gradients(options.score) and run.trainer is not None:
        gradients = run.trainer.gradients(workload.model)
    return ChannelPruning(workload, table, coupling, run.request.budget, options, gradients)


@dataclass(frozen=True, eq=False)
class ChannelPruning(RuntimesOwn):
    """Plans of channels for one model by measured contributions. See `method.Pruning`.

    `gradients` of the loss, by initializer, are there where the score asks for them.
    """

    workload: Workload
    table: ChannelTable
    coupling: Coupling
    budget: Budget
    options: ChannelOptions
    gradients: Mapping[str, FloatArray] | None = None

    @property
    def dense(self) -> Timing:
        """The dense latency of the table."""
        return self.table.dense

    @property
    def machine(self) -> Machine:
        """Where the table was measured."""
        return self.table.machine

    @property
    def means(self) -> str:
        """In words."""
        return "removing channels"

    @property
    def obstacle(self) -> str:
        """None: a model of which no channel can be removed is refused when it is opened."""
        return ""

    @property
    def budget_ms(self) -> float:
        """The budget for the dense latency of the table."""
        return self.budget.resolve(self.table.dense.median)

    def range_ms(self) -> tuple[float, float]:
        """Least and greatest latency that a plan reaches, by the estimate (ms)."""
        return self.estimator.latency(self._least), self.estimator.dense_ms

    def plan(
        self, target: float, weights: Mapping[str, FloatArray] | None = None, *, finer: bool = False
    ) -> ChannelPlan:
        """The solver's plan, reached in stages; the smallest one where that cannot be reached.

        Groups keep numbers of channels that were measured or, `finer`, any. The choice is by the
        model's own weights: no training comes before it.
        """
        assert weights is None
        if target * self.budget_ms < self.range_ms()[0]:
            return self._smallest()
        try:
            return self.solve(target * self.budget_ms, finer=finer)
        except BudgetError:
            return self._smallest()

    def solve(self, latency_ms: float, *, finer: bool = False) -> ChannelPlan:
        """The same for an estimated latency (ms); raises `BudgetError` with what can be reached."""
        return self._plan(
            solve_in_stages(
                self.coupling.prunable,
                self._scores,
                self.table,
                latency_ms,
                stages=self.options.stages,
                method=self.options.solver,
                min_channels=self._least,
                measured_only=not finer,
            )
        )

    def is_smallest(self, plan: ChannelPlan) -> bool:
        """Whether no plan has a lower estimate."""
        return plan.predicted_ms <= 1.001 * self.range_ms()[0]

    def candidate(self, plan: ChannelPlan) -> Serialized:
        """The smaller model, with the weights as they are."""
        return loadable(shrink(self.workload.model, self.coupling, plan.keep))

    def given(self, saved: SavedPlan) -> ChannelPlan:
        """The channels of a file's plan."""
        if saved.channels is None:
            raise AlcsError("the plan removes no channels: it was made by another method")
        return saved.channels

    def checkpointed(self, plan: ChannelPlan) -> SavedPlan:
        """The same as for its users."""
        return self.saved(plan)

    def saved(self, plan: ChannelPlan) -> SavedPlan:
        """The plan as it is kept in a file."""
        return SavedPlan("channel", plan, None, asdict(self.options))

    def pruned(self, run: Run, plan: ChannelPlan) -> Network:
        """The smaller model, all of whose weights are trained; checked against its masked form.

        With data the activations are brought back into range first, at full size; not where a node
        takes one value of several of the channels, which would see zeros there. Raises `AlcsError`
        when the two differ.
        """
        model, mixing = self.workload.model, self._mixing(plan.keep)
        if run.trainer is not None and mixing:
            run.reporter.note(
                "activations are not brought back into range before training: node "
                f"'{mixing[0]}' takes one value of several channels"
            )
        elif run.trainer is not None:
            model = run.trainer.repair(model, self._weight_masks(self._masks(plan.keep)))
        return self._without(run, plan.keep, model)

    def _without(self, run: Run, keep: Mapping[str, BoolArray], model: Model) -> Network:
        """`model`, the workload's with other weights, without the channels that `keep` leaves out.

        Raises `AlcsError` when it differs from its masked full form.
        """
        smaller = shrink(model, self.coupling, keep)
        check = check_written(
            self.workload, smaller, masked(model, self.coupling, keep), run.reporter
        )
        if not check.passed:
            raise AlcsError(
                "the model without the removed channels differs from the masked one by "
                f"{check.difference}; nothing was trained or written"
            )
        return Network(model=smaller, pruned=smaller, check=check)

    def refitted(self, run: Run, plan: ChannelPlan) -> tuple[ChannelPlan, Network]:
        """The smaller model whose layers make up for the channels that they no longer read.

        They are refitted at full size, with zeros for these. Not where a node takes one value of
        several of the channels, which would see zeros there.
        """
        if not refits(run):
            return plan, self.pruned(run, plan)
        if mixing := self._mixing(plan.keep):
            told = f"node '{mixing[0]}' takes one value of several channels"
            run.reporter.note(f"layers are not refitted: {told}")
            return plan, self.pruned(run, plan)
        model = self.workload.model
        found = kept_refit(run, model, plan.keep, lambda: self._refit(run, plan))
        for text in found.notes:
            run.reporter.note(text)
        network = self._without(run, plan.keep, model.with_initializers(found.arrays))
        return plan, replace(network, refitted=True, errors=found.errors)

    def sketch(self, run: Run, plan: ChannelPlan, pictures: int) -> Serialized:
        """What `plan` comes to, about: refitted on a few pictures, where it will be at all."""
        if self._mixing(plan.keep) or not refits(run):
            return self.candidate(plan)
        model = self.workload.model.with_initializers(self._refit(run, plan, pictures).arrays)
        return loadable(shrink(model, self.coupling, plan.keep))

    def _refit(self, run: Run, plan: ChannelPlan, pictures: int | None = None) -> Refit:
        left = self._masks(plan.keep)
        masks = self._weight_masks(left)
        return refit_kept(run, self.workload.model, masks, left, pictures)

    def projection(self, loop: LoopState) -> None:
        """None: channels are removed once, before training."""

    def rewrite(self, run: Run, network: Network, plan: ChannelPlan) -> Rewritten:
        """The model put into its file, checked against itself as it was trained."""
        assert network.check is not None
        written = network.pruned
        check = check_written(self.workload, written, written.detached(), run.reporter)
        if not check.passed:
            raise AlcsError(
                "the model to be written differs from the trained one by "
                f"{check.difference}; nothing was written"
            )
        return Rewritten(
            model=written,
            check=network.check,
            mac_ratio=model_macs(network.pruned) / model_macs(run.workload.model),
            layers=with_errors(layer_rows(self.workload.model, network.pruned), network.errors),
        )

    def decided(self, plan: ChannelPlan | None) -> Decided:
        """The options, the groups and their curves."""
        return Decided(
            asdict(self.options),
            channel_curves=self.table.curves,
            channels=() if plan is None else self.reports(plan),
        )

    def reports(self, plan: ChannelPlan) -> tuple[ChannelReport, ...]:
        """A row for each channel group: what it keeps and what that saves when done alone."""
        saved = self.estimator.saved
        rows = []
        for group in self.coupling.groups:
            mask = plan.keep.get(group.name)
            kept = group.channels if mask is None else int(mask.sum())
            rows.append(
                ChannelReport(
                    group=group.name,
                    layers=tuple(dict.fromkeys(slot.node for slot in group.slots)),
                    channels=group.channels,
                    kept=kept,
                    saved_ms=float(saved[group.name][kept]) if group.name in saved else None,
                    reason=group.frozen or None,
                    mixed_by=group.mixed_by,
                )
            )
        return tuple(rows)

    @cached_property
    def estimator(self) -> ChannelEstimator:
        """The estimator of the table."""
        return ChannelEstimator.from_table(self.table)

    @cached_property
    def _least(self) -> Mapping[str, int]:
        """The fewest channels of each group: what was measured of `min_share` and more."""
        least = {}
        for group in self.coupling.prunable:
            wanted = self.options.min_share * group.channels
            kept = self.table.curve(group.name).kept
            least[group.name] = next(count for count in kept if count >= wanted)
        return least

    def keeping_all(self) -> ChannelPlan:
        """The plan that removes nothing."""
        return self._plan({g.name: np.ones(g.channels, bool) for g in self.coupling.prunable})

    def _smallest(self) -> ChannelPlan:
        """The least that was measured of every group, the channels of highest score."""
        everything = {g.name: np.ones(g.channels, dtype=bool) for g in self.coupling.prunable}
        scores = self._scores(everything)
        return self._plan({n: best_channels(scores[n], self._least[n]) for n in everything})

    def _scores(self, keep: Mapping[str, BoolArray]) -> Mapping[str, FloatArray]:
        """The scores of the channels that are left, from the weights that are left."""
        weights = self._left(keep)
        return {
            group.name: channel_scores(
                weights, left_of(group, keep[group.name]), self.options.score, self.gradients
            )
            for group in self.coupling.prunable
        }

    def _left(self, keep: Mapping[str, BoolArray]) -> Mapping[str, FloatArray]:
        """The weights, by initializer, zero where removed channels are read and computed."""
        arrays = self.workload.model.initializers
        zeroed = {n: np.where(mask, arrays[n], 0) for n, mask in self._masks(keep).items()}
        return {**arrays, **zeroed}

    def _masks(self, keep: Mapping[str, BoolArray]) -> dict[InitializerName, BoolArray]:
        """Masks of the initializers that lose channels: False where a removed one is."""
        arrays, left = self.workload.model.initializers, dict[InitializerName, BoolArray]()
        for slot, positions in self.coupling.removed(keep):
            mask = left.setdefault(slot.tensor, np.ones(arrays[slot.tensor].shape, dtype=bool))
            np.moveaxis(mask, slot.axis, 0)[positions] = False
        return left

    def _weight_masks(self, left: Mapping[InitializerName, BoolArray]) -> dict[str, BoolArray]:
        """Of `left` those of the layers' weights, by layer."""
        model = self.workload.model
        layers = (*conv_layers(model), *fully_connected(model))
        return {x.name: rows_first(model, x, left[x.weight]) for x in layers if x.weight in left}

    def _mixing(self, keep: Mapping[str, BoolArray]) -> tuple[str, ...]:
        """The nodes that take one value of several channels of which some are removed."""
        cut = [g for g in self.coupling.groups if g.name in keep and not keep[g.name].all()]
        return tuple(dict.fromkeys(node for group in cut for node in group.mixed_by))

    def _plan(self, keep: Mapping[str, BoolArray]) -> ChannelPlan:
        kept = {name: int(mask.sum()) for name, mask in keep.items()}
        return ChannelPlan(
            self.workload.model.digest,
            dict(keep),
            dict(self.coupling.frozen),
            self.estimator.latency(kept),
        )


def layer_rows(before: Model, after: Model) -> tuple[LayerReport, ...]:
    """A row for each convolution: the share of its weights that is left."""
    full = {layer.name: layer for layer in conv_layers(before)}
    rows = []
    for layer in conv_layers(after):
        dense = full[layer.name]
        same = layer.weight_count == dense.weight_count
        rows.append(
            LayerReport(
                layer=layer.name,
                weight_shape=layer.weight_shape,
                output_shape=layer.output_shape,
                macs=layer.macs,
                op="Conv",
                simd_group=1,
                density=layer.weight_count / dense.weight_count,
                fused="",
                dense_ms=None,
                predicted_ms=None,
                measured_ms=None,
                reason="all channels kept" if same else None,
            )
        )
    return tuple(rows)
