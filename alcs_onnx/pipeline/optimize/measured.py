"""A changed model beside the dense one, and the promise that it is held to."""

from __future__ import annotations

from dataclasses import dataclass

from alcs_onnx.errors import BudgetError
from alcs_onnx.pipeline.common.workload import Workload
from alcs_onnx.pipeline.optimize.result import Repaired
from alcs_onnx.serialized import Serialized
from alcs_onnx.solve.closed_loop import HIGHEST, LOWEST
from alcs_onnx.types import Budget, Timing

#: What a plan that was measured before may be above the budget now.
TOLERATED = 0.05
#: Times that the final model is measured; odd, because the middle one counts.
_REPEATS = 3


@dataclass(frozen=True)
class Measured:
    """What a candidate measured beside the dense model, and the budget for that (ms)."""

    dense: Timing
    sparse: Timing
    budget_ms: float

    @property
    def fraction(self) -> float:
        """Measured latency / budget; the promise is [0.95, 1]."""
        return self.sparse.median / self.budget_ms

    @property
    def met(self) -> bool:
        """Whether the measured latency is within the budget."""
        return self.fraction <= HIGHEST

    @property
    def told(self) -> str:
        """The measurement in words."""
        return (
            f"{100 * self.fraction:.1f} % of the budget ({self.sparse.median:.3f} ms beside "
            f"{self.dense.median:.3f} ms of the dense model)"
        )

    def require_met(self) -> None:
        """Raise `BudgetError` unless the measured latency is within the budget."""
        if not self.met:
            raise BudgetError(
                f"the budget was not met in several attempts: the best measured {self.told}; "
                "nothing was trained or written"
            )

    def require_tolerable(self) -> None:
        """Raise `BudgetError` for a plan that was given and is clearly too slow."""
        if self.fraction > HIGHEST + TOLERATED:
            raise BudgetError(f"the plan measures {self.told}: nothing was trained or written")

    def verdict(self, *, keeps_all: bool) -> tuple[bool, str]:
        """Whether the budget was met, and one line about it."""
        told = f"measured {self.told}"
        if not self.met:
            return False, f"budget missed: {told}"
        if self.fraction >= LOWEST:
            return True, f"budget met: {told}"
        room = " with every weight kept" if keeps_all else ", with room left"
        return True, f"budget met{room}: {told}"


def measure(workload: Workload, candidate: Serialized, budget: Budget) -> Measured:
    """Time `candidate` beside the dense file, in turns."""
    dense, sparse = workload.against_dense(candidate)
    return Measured(dense, sparse, budget.resolve(dense.median))


def measure_repairs(workload: Workload) -> Repaired | None:
    """What it gains to set right what loading does; None where that is nothing."""
    if workload.as_given is None:
        return None
    dense, given = workload.against_dense(workload.as_given)
    return Repaired(workload.model.repairs, given, dense)


def measure_finally(workload: Workload, written: Serialized, budget: Budget) -> Measured:
    """The measurement that is reported: of several, the one in the middle."""
    found = [measure(workload, written, budget) for _ in range(_REPEATS)]
    return sorted(found, key=lambda item: item.fraction)[len(found) // 2]
