"""What the runtime's conversions take by the number of elements, fitted to those in a profile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

#: Number of elements and time (ms) of one conversion that was measured.
Point = tuple[int, float]


@dataclass(frozen=True)
class Price:
    """`base_ms` + `ms_per_element` * elements, and never less than `least_ms`."""

    base_ms: float
    ms_per_element: float
    least_ms: float

    def __call__(self, elements: int) -> float:
        """The time (ms) for a tensor of so many elements."""
        return max(self.least_ms, self.base_ms + self.ms_per_element * elements)


def fitted(points: Sequence[Point], least_ms: float) -> Price:
    """The price with the least squares of relative errors; base and slope are not negative.

    A single size says nothing of the base, which is then 0. No points at all: `least_ms`.
    """
    measured = [(elements, ms) for elements, ms in points if elements > 0 and ms > 0]
    if not measured:
        return Price(0.0, 0.0, least_ms)
    elements, times = (np.array(column, dtype=np.float64) for column in zip(*measured, strict=True))
    columns = np.stack([np.ones_like(elements), elements], axis=1)
    if np.unique(elements).size == 1:
        columns[:, 0] = 0.0
    scale = elements.max()  # both columns of about the same size
    solved, _ = nnls(columns / times[:, None] / [1.0, scale], np.ones_like(times))
    return Price(float(solved[0]), float(solved[1] / scale), least_ms)
