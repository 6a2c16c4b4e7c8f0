"""What the runtime's conversions take by the number of elements, fitted to those in a profile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

#: Number of elements and time (ms) of one conversion that was measured.
Point = tuple[int, float]
#: Below so many elements a conversion takes about as long as one of a single element.
TELLING = 4096
#: What an element takes at the most (ms) where all that was measured are small tensors: a pass over
#: a large one takes 0.1 to 0.3 ns an element on current x86, and slower cores are within 1 ns.
_MOST_PER_ELEMENT = 1e-6


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

    A single size says nothing of the base, which is then 0, unless it is below `TELLING`: small
    tensors say nothing of the slope, which stays within what any CPU takes. No points at all:
    `least_ms`.
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
    base, slope = float(solved[0]), float(solved[1] / scale)
    if elements.max() < TELLING and slope > _MOST_PER_ELEMENT:
        slope = _MOST_PER_ELEMENT
        base = max(0.0, float(np.median(times - slope * elements)))
    return Price(base, slope, least_ms)
