"""Channels first, then SIMD groups of what is left (`--method hybrid`).

One budget serves both. How much of it the channels take is decided by what the weights keep: for
several splits the channels' solver is asked, and then the groups' by the estimate, as it is asked
later by measurements; the split that leaves the most energy, each layer's relative to its own, is
taken. Channels cost more energy for the same latency, but take along what groups of weights cannot
reach: depthwise layers, pooling, loads and stores.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace

import numpy as np

from alcs_onnx.errors import AlcsError, BudgetError
from alcs_onnx.graph import conv_layers
from alcs_onnx.latency import restricted
from alcs_onnx.pipeline.optimize.channels import ChannelPruning, open_channels
from alcs_onnx.pipeline.optimize.groups import GroupPruning
from alcs_onnx.pipeline.optimize.method import Decided
from alcs_onnx.pipeline.optimize.plan_file import SavedPlan
from alcs_onnx.pipeline.optimize.run import Run
from alcs_onnx.rewrite import shrink
from alcs_onnx.solve.closed_loop import TARGET_FRACTION
from alcs_onnx.types import ChannelPlan, FloatArray, LatencyTable, PruningPlan

#: Latencies that the channels may be asked to leave, as fractions of the dense one.
_SPLITS = tuple(part / 20 for part in range(19, 5, -1))


def open_hybrid(run: Run) -> HybridPruning:
    """Split the budget, remove the channels, and open what is left for SIMD groups.

    Raises `BudgetError` when no split reaches the budget.
    """
    if run.tables.given is not None:
        raise AlcsError("--method hybrid measures two tables of its own: leave out --profile")
    channels = open_channels(run)
    workload, table = run.workload, None
    if run.given is not None:
        removed = run.given.channels
    else:
        table = run.tables.of_layers(workload)
        removed = _best_split(run, channels, table).removed
    if removed is None:
        run.reporter.note("the budget goes to SIMD groups alone: that keeps the most")
        table = table or run.tables.of_layers(workload)
    else:
        # ADMM begins with weights as they were, see `training_stages`.
        admm = run.trains and run.trainer is not None and run.trainer.config.admm_epochs
        made = channels.pruned(run, removed) if admm else channels.refitted(run, removed)[1]
        smaller = made.pruned
        left = replace(workload, model=smaller)
        # The budget and the promise are about the file that was given.
        table = run.tables.of_layers(left, dense=workload.time_dense)
        workload = left
    groups = GroupPruning.by_table(run, workload, table).refitting_for(run)
    own = {each.name: getattr(groups, each.name) for each in fields(groups)}
    return HybridPruning(**own, channels=channels, removed=removed)


@dataclass(frozen=True, eq=False, kw_only=True)
class HybridPruning(GroupPruning):
    """Groups of a model that the channels of `removed` are gone from; None where none are."""

    channels: ChannelPruning
    removed: ChannelPlan | None

    @property
    def means(self) -> str:
        """In words."""
        return "removing channels and weights"

    @property
    def obstacle(self) -> str:
        """None: channels can be removed."""
        return ""

    def saved(self, plan: PruningPlan) -> SavedPlan:
        """The plan of both steps, and what they were told."""
        settings = {**self.checkpointed(plan).settings, **asdict(self.channels.options)}
        return SavedPlan("hybrid", self.removed, plan, settings)

    def decided(self, plan: PruningPlan | None) -> Decided:
        """What both steps were decided with."""
        groups = super().decided(plan)
        settings = {**groups.settings, **asdict(self.channels.options)}
        if self.removed is None:
            return replace(groups, settings=settings)
        return replace(
            groups,
            settings=settings,
            channel_curves=self.channels.table.curves,
            channels=self.channels.reports(self.removed),
        )


@dataclass(frozen=True)
class _Split:
    """A plan of channels, and the energy that is left once the groups are pruned, too."""

    fraction: float
    removed: ChannelPlan | None
    energy: float


def _best_split(run: Run, channels: ChannelPruning, table: LatencyTable) -> _Split:
    """The split that keeps the most energy; raises `BudgetError` where none fits."""
    found = [
        _Split(fraction, removed, energy)
        for fraction, removed in _splits(run, channels)
        if (energy := _energy_left(run, channels, table, removed)) is not None
    ]
    if not found:
        low, high = channels.range_ms()
        raise BudgetError(
            f"the budget of {run.request.budget.text} cannot be reached by channels and groups "
            f"together: channels alone can take the model to {low:.4g} ms of {high:.4g} ms"
        )
    best = max(found, key=lambda split: split.energy)
    for split in found:
        run.reporter.note(
            f"channels to {100 * split.fraction:.0f} % of the dense latency, groups the rest: "
            f"{100 * split.energy:.1f} % of the energy kept"
            + (" (chosen)" if split is best else "")
        )
    return best


def _splits(run: Run, channels: ChannelPruning) -> Iterator[tuple[float, ChannelPlan | None]]:
    """Plans of channels by the latency that they leave, from none removed down to the budget."""
    yield 1.0, None
    dense = channels.dense.median
    budget = run.request.budget.resolve(dense) / dense
    for fraction in _SPLITS:
        if fraction <= budget:
            return
        try:
            yield fraction, channels.solve(fraction * dense)
        except BudgetError:
            return


def _energy_left(
    run: Run, channels: ChannelPruning, table: LatencyTable, removed: ChannelPlan | None
) -> float | None:
    """Mean share of each layer's energy that a split keeps; None where groups cannot follow.

    By the estimate: a layer's time goes by its stored groups, wherever they are (ALCS section
    III-C), so the curves of the full layers serve the smaller ones.
    """
    model = run.workload.model
    smaller = model if removed is None else shrink(model, channels.coupling, removed.keep)
    left = replace(run.workload, model=smaller)
    shapes = {x.name: left.grouping.mask_shape(x) for x in conv_layers(smaller)}
    curves = restricted(table, {name: int(np.prod(shape)) for name, shape in shapes.items()})
    groups = GroupPruning.by_table(run, left, curves)
    if TARGET_FRACTION * groups.budget_ms < groups.range_ms()[0]:
        return None
    masks = groups.weight_masks(groups.plan(TARGET_FRACTION))
    parts = [
        _energy(smaller.initializers[layer.weight][masks[name]])
        / max(_energy(model.initializers[layer.weight]), 1e-30)
        for name, layer in groups.layers.items()
    ]
    return float(np.mean(parts)) if parts else 1.0


def _energy(values: FloatArray) -> float:
    return float(np.square(values, dtype=np.float64).sum())
