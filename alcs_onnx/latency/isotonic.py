"""Least-squares fit of a non-decreasing sequence.

Ten lines here instead of a dependency on scipy for this one function.
"""

from __future__ import annotations

from collections.abc import Sequence


def non_decreasing(values: Sequence[float]) -> list[float]:
    """The non-decreasing sequence closest to `values` in the sum of squared differences.

    Pool adjacent violators: neighbours in the wrong order are replaced by their mean,
    which may put that mean in the wrong order with what came before, and so on.
    """
    pools: list[tuple[float, int]] = []
    for value in values:
        mean, count = float(value), 1
        while pools and pools[-1][0] > mean:
            before, size = pools.pop()
            mean = (before * size + mean * count) / (size + count)
            count += size
        pools.append((mean, count))
    return [mean for mean, count in pools for _ in range(count)]
