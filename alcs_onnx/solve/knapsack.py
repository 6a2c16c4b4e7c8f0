"""Group knapsack: one item of each group, most importance within a capacity.

SP-LAMP eq. 8 to 10 and Algorithm 1. The items of a group are the prefixes of its filters in
descending order of score, the filter of score 1 excepted: it is always kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from alcs_onnx.errors import AlcsError, BudgetError
from alcs_onnx.types import DoubleArray, IntArray

#: Columns of the table at most. Coarser units than asked for waste at most one unit per group,
#: which is 1 / 200000 of the capacity.
_COLUMNS = 200_000
_HALVINGS = 60


@dataclass(frozen=True)
class _Items:
    """What one group may take, ascending in cost and in value; the first one costs nothing."""

    index: IntArray
    value: DoubleArray
    cost: npt.NDArray[Any]  # ms, or whole units

    def only(self, keep: npt.NDArray[Any]) -> _Items:
        return _Items(self.index[keep], self.value[keep], self.cost[keep])


def group_knapsack(
    scores: Sequence[npt.ArrayLike],
    latencies: Sequence[npt.ArrayLike],
    capacity_ms: float,
    scale: float = 10_000,
) -> IntArray:
    """The item that each group takes: 0 for nothing more, i for its item number i from 1.

    SP-LAMP Algorithm 1, which solves eq. 8.

    `scores[l]` is the importance of each item of group l, `latencies[l]` the milliseconds it
    adds (I_S and C_S of the paper: sums over the prefix). The importance taken is the largest
    whose latencies sum up to at most `capacity_ms`; of equal choices a cheaper item is
    preferred. Latencies may be negative: taking such an item makes room.

    Latencies count in whole units of 1 / `scale` ms, rounded up, so that their sum never
    exceeds the capacity. The paper's 10000 is a maximum: where the capacity would be more
    than 200000 units, the units are made that much larger.

    Unlike the paper's listing, an item is compared with the best of the same group so far and
    not only with the row before, and the choice is stored rather than deduced from the values.

    Raises `BudgetError` when the capacity is below the sum of the cheapest choices, and
    `AlcsError` for arrays that do not fit or are not finite.
    """
    if len(scores) != len(latencies):
        raise AlcsError(f"{len(scores)} groups have scores, {len(latencies)} have latencies")
    if not scale > 0 or np.isnan(capacity_ms):
        raise AlcsError(f"a capacity of {capacity_ms} ms in units of 1/{scale} is not usable")
    options = [_options(*pair) for pair in zip(scores, latencies, strict=True)]
    least = float(sum(ms for _, ms in options))
    spare = capacity_ms - least
    if spare < 0:
        raise BudgetError(
            f"a latency of {capacity_ms:.4g} ms cannot be reached: "
            f"the cheapest choice takes {least:.4g} ms"
        )
    groups = [items for items, _ in options]
    if sum(float(items.cost[-1]) for items in groups) <= spare:
        return np.array([items.index[-1] for items in groups], dtype=np.int64)
    units = min(scale, _COLUMNS / spare) if spare > 0 else scale
    capacity = int(spare * units)
    return _solve([_rounded(items, units, capacity) for items in groups], capacity)


def _options(scores: npt.ArrayLike, latencies: npt.ArrayLike) -> tuple[_Items, float]:
    """The items of one group and of "nothing more" (SP-LAMP eq. 9) that are worth their cost.

    Costs are relative to the cheapest, whose latency (ms) is returned beside them.
    """
    value = np.concatenate(([0.0], np.asarray(scores, dtype=np.float64)))
    ms = np.concatenate(([0.0], np.asarray(latencies, dtype=np.float64)))
    if value.shape != ms.shape:
        raise AlcsError(f"a group has {value.size - 1} scores and {ms.size - 1} latencies")
    if not (np.isfinite(value).all() and np.isfinite(ms).all()):
        raise AlcsError("a group has scores or latencies that are not finite numbers")
    items = _undominated(_Items(np.arange(value.size), value, ms))
    least = float(items.cost[0])
    return _Items(items.index, items.value, items.cost - least), least


def _undominated(items: _Items) -> _Items:
    """The items, cheapest first, without those that cost no less than a better one."""
    order = np.lexsort((items.index, -items.value, items.cost))
    value = items.value[order]
    best = np.maximum.accumulate(value)
    better = np.concatenate(([True], value[1:] > best[:-1]))
    return items.only(order[better])


def _rounded(items: _Items, units: float, capacity: int) -> _Items:
    """The items that fit the capacity, their costs in whole units."""
    cost = np.ceil(np.minimum(items.cost * units, capacity + 1)).astype(np.int64)
    items = _Items(items.index, items.value, cost)
    return _undominated(items.only(cost <= capacity))


def _solve(groups: Sequence[_Items], capacity: int) -> IntArray:
    """The best choice of whole-unit items, exactly: their own numbers."""
    groups, room = _reduced(groups, capacity)
    chosen = _table(groups, room)
    return np.array(
        [items.index[choice] for items, choice in zip(groups, chosen, strict=True)],
        dtype=np.int64,
    )


def _table(groups: Sequence[_Items], capacity: int) -> list[int]:
    """SP-LAMP eq. 10, all columns of a row at once, and the way back."""
    capacity = min(capacity, sum(int(items.cost[-1]) for items in groups))
    best = np.zeros(capacity + 1)
    choices: list[npt.NDArray[np.int32]] = []
    for items in groups:
        before, best = best, np.full(capacity + 1, -np.inf)
        choice = np.zeros(capacity + 1, dtype=np.int32)
        for number, (value, cost) in enumerate(zip(items.value, items.cost, strict=True)):
            if cost > capacity:
                break
            candidate = before[: capacity + 1 - cost] + value
            # Dearer items come later: an equal value does not replace a cheaper item.
            better = candidate > best[cost:]
            best[cost:][better] = candidate[better]
            choice[cost:][better] = number
        choices.append(choice)
    chosen = []
    column = int(np.argmax(best))  # the first, and cheapest, column of the best value
    for items, choice in zip(reversed(groups), reversed(choices), strict=True):
        chosen.append(int(choice[column]))
        column -= int(items.cost[chosen[-1]])
    return chosen[::-1]


def _reduced(groups: Sequence[_Items], capacity: int) -> tuple[list[_Items], int]:
    """The items that can be part of a best choice, and the room beyond the cheapest of them.

    For every price p of a unit, p * capacity + the sum of each group's largest value - p * cost
    bounds the value of any choice from above. An item that falls short of its group's largest
    by more than that bound exceeds a choice known to fit cannot improve on the latter. Costs
    become relative to the cheapest item left, which leaves the table few columns.
    """
    rows = max(len(items.value) for items in groups)
    value = np.full((len(groups), rows), -np.inf)
    cost = np.zeros((len(groups), rows), dtype=np.int64)
    for row, items in enumerate(groups):
        value[row, : items.value.size], cost[row, : items.cost.size] = items.value, items.cost
    lanes = np.arange(len(groups))

    def choose(price: float) -> npt.NDArray[np.intp]:
        return np.asarray(np.argmax(value - price * cost, axis=1))

    # From a price at which no item is worth a unit, down to the least that meets the capacity.
    low, high = 0.0, 2 * float((value.max(axis=1) - value[:, 0]).max())
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if int(cost[lanes, choose(middle)].sum()) <= capacity:
            high = middle
        else:
            low = middle
    known = _filled(value, cost, choose(high), capacity)
    surplus = value - high * cost
    shortfall = surplus.max(axis=1, keepdims=True) - surplus
    gap = high * capacity + float(surplus.max(axis=1).sum()) - float(value[lanes, known].sum())
    # Sums are rounded: what falls short by no more than that stays.
    keep = shortfall <= gap + 1e-9 * (1.0 + abs(high * capacity))
    keep[lanes, known] = True
    keep &= np.isfinite(value)
    left = [items.only(row[: items.value.size]) for items, row in zip(groups, keep, strict=True)]
    least = [int(items.cost[0]) for items in left]
    relative = [
        _Items(items.index, items.value, items.cost - cheapest)
        for items, cheapest in zip(left, least, strict=True)
    ]
    return relative, capacity - sum(least)


def _filled(
    value: DoubleArray, cost: IntArray, chosen: npt.NDArray[np.intp], capacity: int
) -> npt.NDArray[np.intp]:
    """`chosen`, with what is left of the capacity spent where it buys most."""
    lanes = np.arange(len(chosen))
    while True:
        left = capacity - int(cost[lanes, chosen].sum())
        gain = value - value[lanes, chosen][:, None]
        gain[cost - cost[lanes, chosen][:, None] > left] = -np.inf
        row, column = np.unravel_index(int(np.argmax(gain)), gain.shape)
        if not gain[row, column] > 0:
            return chosen
        chosen = chosen.copy()
        chosen[row] = column
