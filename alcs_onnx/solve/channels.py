"""Choose the channels to keep under a latency budget (SP-LAMP section 3.2 and 3.3).

Every solver keeps the channels of highest score in each group; they differ in how many.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite

import numpy as np
import numpy.typing as npt

from alcs_onnx.errors import AlcsError, BudgetError
from alcs_onnx.latency import ChannelEstimator
from alcs_onnx.solve.channel_problem import ChannelProblem
from alcs_onnx.solve.registry import CHANNEL_SOLVERS
from alcs_onnx.types import BoolArray, ChannelGroup, ChannelTable, IntArray


def solve_channels(
    groups: Sequence[ChannelGroup],
    scores: Mapping[str, npt.NDArray[np.floating]],
    table: ChannelTable,
    budget_ms: float,
    *,
    method: str = CHANNEL_SOLVERS.default,
    min_channels: int | Mapping[str, int] = 1,
    measured_only: bool = False,
) -> dict[str, BoolArray]:
    """Masks [channels] (True: kept) of the groups that are not frozen, within the budget.

    `scores` are by group name, [channels], from `channel_scores`; `table` are the measured
    contributions. Each group keeps at least `min_channels` (of all or by group), and with
    `measured_only` one of the numbers that its curve was measured at, since between those the
    run time need not be a straight line (a runtime that pads channels to vectors has steps
    there). The estimate of the result is at most `budget_ms`.

    A budget of the dense latency and above keeps everything. Raises `BudgetError`, giving the
    reachable range, for one that is too low; `AlcsError` for scores that are missing, negative,
    not finite or of another size, and for a group without a curve.
    """
    CHANNEL_SOLVERS.check(method)
    every = min_channels if isinstance(min_channels, int) else min(min_channels.values(), default=1)
    if every < 1:
        raise AlcsError(f"a group cannot keep at least {every} channels: one is the least")
    if not (isfinite(budget_ms) and budget_ms > 0):
        raise BudgetError(f"a latency budget of {budget_ms} ms cannot be met")
    estimator = ChannelEstimator.from_table(table)
    wanted = [group for group in groups if not group.frozen]
    ranked = {group.name: _checked(group, scores, estimator) for group in wanted}
    if budget_ms >= estimator.dense_ms:
        return {group.name: np.ones(group.channels, dtype=bool) for group in wanted}
    least = {
        group.name: min_channels if isinstance(min_channels, int) else min_channels[group.name]
        for group in wanted
    }
    counts = [
        _allowed(group, least[group.name], table.curve(group.name).kept if measured_only else None)
        for group in wanted
    ]
    problem = ChannelProblem(
        tuple(counts),
        tuple(np.sort(row.astype(np.float64))[::-1] for row in ranked.values()),
        tuple(estimator.saved[group.name][row] for group, row in zip(wanted, counts, strict=True)),
        estimator.needed(budget_ms),
    )
    if not problem.fits(np.zeros(len(wanted), dtype=np.int64)):
        fewest = {group.name: int(row[0]) for group, row in zip(wanted, counts, strict=True)}
        raise _unreachable(budget_ms, estimator, fewest)
    options = CHANNEL_SOLVERS[method](problem)
    return {
        group.name: best_channels(ranked[group.name], int(row[option]))
        for group, row, option in zip(wanted, counts, options, strict=True)
    }


def stage_budgets(dense_ms: float, budget_ms: float, stages: int) -> tuple[float, ...]:
    """Budgets (ms) of k stages from the dense latency down to `budget_ms`, the last one exact.

    SP-LAMP section 3.3: each stage removes an equal part of the latency that has to go, and
    scores and contributions are taken anew in between. One stage where nothing has to go.
    Raises `AlcsError` for less than one stage, `BudgetError` for times that are not positive.
    """
    if stages < 1:
        raise AlcsError(f"{stages} stages: at least one is needed")
    if not (isfinite(dense_ms) and isfinite(budget_ms) and min(dense_ms, budget_ms) > 0):
        raise BudgetError(f"a budget of {budget_ms} ms of {dense_ms} ms cannot be met")
    if budget_ms >= dense_ms:
        return (budget_ms,)
    step = (dense_ms - budget_ms) / stages
    return (*(dense_ms - step * stage for stage in range(1, stages)), budget_ms)


def _allowed(group: ChannelGroup, least: int, measured: Sequence[int] | None) -> IntArray:
    """The counts from `least` on that the group may keep, all of its channels last.

    With `measured` only those counts, and all channels.
    """
    counts = np.arange(min(least, group.channels), group.channels + 1, dtype=np.int64)
    if measured is None:
        return counts
    return counts[np.isin(counts, [*measured, group.channels])]


def best_channels(scores: npt.NDArray[np.floating], count: int) -> BoolArray:
    """True at the `count` highest scores; of equal ones the first are kept."""
    keep = np.zeros(scores.size, dtype=bool)
    keep[np.argsort(-scores, kind="stable")[:count]] = True
    return keep


def _unreachable(
    budget_ms: float, estimator: ChannelEstimator, fewest: Mapping[str, int]
) -> BudgetError:
    """The error that names the range from the fewest channels to all of them."""
    return BudgetError(
        f"a latency of {budget_ms:.4g} ms cannot be reached by removing channels: this model "
        f"can take {estimator.latency(fewest):.4g} to {estimator.dense_ms:.4g} ms"
    )


def _checked(
    group: ChannelGroup,
    scores: Mapping[str, npt.NDArray[np.floating]],
    estimator: ChannelEstimator,
) -> npt.NDArray[np.floating]:
    """The group's scores; raises `AlcsError` unless they, and its curve, fit the group."""
    where = f"channel group '{group.name}'"
    if group.name not in scores:
        raise AlcsError(f"{where} has no scores")
    if group.name not in estimator.saved:
        raise AlcsError(f"{where} has no latency curve")
    values, known = np.asarray(scores[group.name]), estimator.saved[group.name].size - 1
    if values.shape != (group.channels,):
        raise AlcsError(f"{where} has {group.channels} channels, its scores {list(values.shape)}")
    if known != group.channels:
        raise AlcsError(
            f"{where} has {group.channels} channels, its latency was measured for {known}: "
            "another model"
        )
    if not (np.isfinite(values).all() and (values >= 0).all()):
        raise AlcsError(f"{where} has scores that are not finite numbers from 0 on")
    return values
