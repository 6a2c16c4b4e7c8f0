"""Channels in stages: scores and contributions taken anew in between (SP-LAMP section 3.3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt

from alcs_onnx.errors import BudgetError
from alcs_onnx.latency import ChannelEstimator
from alcs_onnx.solve.channels import solve_channels, stage_budgets
from alcs_onnx.types import BoolArray, ChannelGroup, ChannelTable

#: The scores of every channel that is left, by group, from masks of what is.
Scoring = Callable[[Mapping[str, BoolArray]], Mapping[str, npt.NDArray[np.floating]]]


def solve_in_stages(
    groups: Sequence[ChannelGroup],
    scoring: Scoring,
    table: ChannelTable,
    budget_ms: float,
    *,
    stages: int,
    method: str,
    min_channels: Mapping[str, int],
    measured_only: bool,
) -> dict[str, BoolArray]:
    """Masks [channels] of `groups`, reached in `stages` steps from the dense latency down.

    Between stages the scores are taken anew, from the weights that are left, and so are the
    contributions, by the estimate (eq. 7 from there). What early stages took may be in the way of
    the last one: then all is taken in one stage. The other arguments are those of
    `solve_channels`, and so is what is raised.
    """
    solve = partial(
        solve_channels, method=method, min_channels=min_channels, measured_only=measured_only
    )
    dense = table.dense.median
    try:
        return _in_stages(groups, scoring, table, stage_budgets(dense, budget_ms, stages), solve)
    except BudgetError:
        return _in_stages(groups, scoring, table, stage_budgets(dense, budget_ms, 1), solve)


def _in_stages(
    groups: Sequence[ChannelGroup],
    scoring: Scoring,
    table: ChannelTable,
    budgets: Sequence[float],
    solve: Callable[..., Mapping[str, BoolArray]],
) -> dict[str, BoolArray]:
    """The masks after solving for each of `budgets` (ms) in turn."""
    estimator = ChannelEstimator.from_table(table)
    keep = {group.name: np.ones(group.channels, dtype=bool) for group in groups}
    for budget in budgets:
        found = solve(
            [left_of(group, keep[group.name]) for group in groups],
            scoring(keep),
            _table_at(table, estimator, keep),
            budget,
        )
        for name, mask in found.items():
            keep[name][np.flatnonzero(keep[name])[~mask]] = False
    return keep


def left_of(group: ChannelGroup, keep: BoolArray) -> ChannelGroup:
    """The group as it is when only those channels are left."""
    slots = tuple(replace(slot, indices=slot.indices[keep]) for slot in group.slots)
    return replace(group, channels=int(keep.sum()), slots=slots)


def _table_at(
    table: ChannelTable, estimator: ChannelEstimator, keep: Mapping[str, BoolArray]
) -> ChannelTable:
    """The contributions of a model that keeps `keep` already."""
    kept = {name: int(mask.sum()) for name, mask in keep.items()}
    curves = []
    for curve in table.curves:
        left = kept[curve.group]
        counts = tuple(sorted({count for count in curve.kept if count < left} | {left}))
        times = tuple(estimator.latency({**kept, curve.group: count}) for count in counts)
        curves.append(
            replace(curve, kept=counts, times_ms=times, mean=times, stddev=(0.0,) * len(times))
        )
    dense = replace(table.dense, median=estimator.latency(kept))
    return replace(table, dense=dense, curves=tuple(curves))
