"""A changed model beside the dense one, and the promise that it is held to."""

from __future__ import annotations

from dataclasses import dataclass

from alcs_onnx.errors import BudgetError
from alcs_onnx.types import Timing

#: The promise: measured latency as a share of the budget.
LOWEST, HIGHEST = 0.95, 1.0
#: What a candidate aims at and is accepted in: clear of the edges, because a later
#: measurement of the same model differs by a percent or so.
AIM, NARROW = 0.975, (0.96, 0.99)
#: What a plan that was measured before may be above the budget now.
TOLERATED = 0.05
#: Models that are measured before the best of them is taken.
ATTEMPTS = 8


@dataclass(frozen=True)
class Measured:
    """What a candidate measured beside the dense model, and the budget for that (ms)."""

    dense: Timing
    sparse: Timing
    budget_ms: float

    @property
    def share(self) -> float:
        """Measured latency / budget; the promise is [0.95, 1]."""
        return self.sparse.median / self.budget_ms

    @property
    def met(self) -> bool:
        """Whether the measured latency is within the budget."""
        return self.share <= HIGHEST

    @property
    def distance(self) -> float:
        """How far it is from what was aimed at; missing the budget counts more."""
        return abs(self.share - AIM) + (1.0 if not self.met else 0.0)

    def require_met(self) -> None:
        """Raise `BudgetError` unless the measured latency is within the budget."""
        if not self.met:
            raise BudgetError(
                f"the budget of {self.budget_ms:.3f} ms was not met in several attempts: the "
                f"best measured {self.sparse.median:.3f} ms; nothing was trained or written"
            )

    def check_plan(self) -> str:
        """One line about a plan that was given; `BudgetError` if it is clearly too slow."""
        told = (
            f"the plan measures {self.sparse.median:.3f} ms, {100 * self.share:.1f} % of the "
            f"budget of {self.budget_ms:.3f} ms"
        )
        if self.share > HIGHEST + TOLERATED:
            raise BudgetError(f"{told}: nothing was trained or written")
        return told

    def attempt(self, number: int, predicted_ms: float) -> str:
        """One line about the measurement."""
        return (
            f"attempt {number}: predicted {predicted_ms:.3f} ms, measured "
            f"{self.sparse.median:.3f} ms, budget {self.budget_ms:.3f} ms "
            f"({100 * self.share:.1f} %)"
        )
