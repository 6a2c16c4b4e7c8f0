"""How many fewer weights the next round of progressive pruning asks for.

ADMM-NN-S section 4.3 divides the number of weights by 1.5, then by 2. Here a round that costs too
much accuracy is undone, and the next one asks for the square root of its factor. One pure step,
`after`, with pruning and judging left to the caller.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Rounds:
    """What the next round divides the number of weights by, and how many rounds are left.

    It is over when the factor has fallen below `smallest_factor`.
    """

    factor: float
    left: int
    smallest_factor: float

    @property
    def over(self) -> bool:
        """Whether there is no round to make."""
        return self.left <= 0 or self.factor < self.smallest_factor

    def after(self, *, accepted: bool) -> Rounds:
        """The rounds after one that was taken, or undone."""
        return replace(
            self, left=self.left - 1, factor=self.factor if accepted else self.factor**0.5
        )
