"""What every channel solver is given: options of each group, what they save, and what is needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from alcs_onnx.types import DoubleArray, IntArray

#: A budget that only rounding exceeds is met: parts of it that sums may be off by.
_ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class ChannelProblem:
    """SP-LAMP eq. 5 by options: one of each group, saving at least `needed_ms` together.

    `counts[g]` are the numbers of channels that group g may keep, ascending, all of them last;
    `scores[g]` its scores in descending order, and `saved[g]` what each option saves (ms),
    never rising. The first options together save enough, the last ones do not.
    """

    counts: tuple[IntArray, ...]
    scores: tuple[DoubleArray, ...]
    saved: tuple[DoubleArray, ...]
    needed_ms: float

    def fits(self, options: Sequence[int] | IntArray) -> bool:
        """Whether these options, one of each group, save enough."""
        saved = sum(float(row[option]) for row, option in zip(self.saved, options, strict=True))
        return saved >= self.needed_ms - _ROUNDING * abs(self.needed_ms)

    def at_least(self, counts: Sequence[int] | IntArray) -> IntArray:
        """The options that keep the fewest channels, but at least `counts`."""
        pairs = zip(self.counts, counts, strict=True)
        return np.array([np.searchsorted(row, min(count, row[-1])) for row, count in pairs])


#: Returns the number of the option of each group.
ChannelSolver = Callable[[ChannelProblem], IntArray]
