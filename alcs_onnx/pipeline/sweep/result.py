"""What `sweep` returns: a row for each budget and method, beside the dense model.

Times are milliseconds, accuracies percent. Numbers that follow from others are properties.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from alcs_onnx.fidelity import Fidelity
from alcs_onnx.formats import SWEEP, Format
from alcs_onnx.pipeline.optimize.result import OptimizeResult
from alcs_onnx.types import Machine, Timing


@dataclass(frozen=True)
class SweepPoint:
    """One budget by one method: what `optimize` made of it.

    `status` is that of `optimize`, or "unreachable" where it says so before training; such a
    point has no numbers. `dense` was measured beside `measured`, in turns; `predicted_share` is
    the estimate that the plan was chosen by, over the dense latency that it was made for.
    `output` is the name of the written file in the sweep's folder, None where none was.
    `accuracy` is what the verdict says to be left, in percent, as `measure` of the dense point
    names it: accuracy, or agreement with the dense model where there are no labels; None where
    nothing is known, or only by another measure. `fidelity` has all that is known of the loss, and
    `verdict` says it in one line.
    """

    method: str
    budget: str
    status: Literal["met", "missed", "lost", "unchanged", "unreachable"]
    message: str
    output: str | None = None
    budget_ms: float | None = None
    dense: Timing | None = None
    predicted_share: float | None = None
    measured: Timing | None = None
    accuracy: float | None = None
    mac_ratio: float | None = None
    seconds: float = 0.0
    fidelity: Fidelity | None = None
    verdict: str | None = None

    @classmethod
    def from_result(
        cls, method: str, budget: str, result: OptimizeResult, output: str, measure: str
    ) -> SweepPoint:
        """The row of a finished `optimize` run that wrote, if anything, `output`.

        What is left of it is compared with the dense model by `measure`.
        """
        assert result.status != "dry run"
        fidelity = result.fidelity
        comparable = fidelity is not None and fidelity.measured_by == measure
        accuracy = fidelity.quality if fidelity is not None and comparable else None
        return cls(
            method=method,
            budget=budget,
            status=result.status,
            message=result.message,
            output=None if result.output is None else output,
            budget_ms=result.budget_ms,
            dense=result.dense,
            predicted_share=result.predicted_share if result.sparse is not None else None,
            measured=result.sparse,
            accuracy=accuracy,
            mac_ratio=result.mac_ratio,
            seconds=result.seconds,
            fidelity=fidelity,
            verdict=result.verdict or None,
        )

    @property
    def failed(self) -> bool:
        """Whether what was asked for was not reached."""
        return self.status not in ("met", "unchanged")

    @property
    def told(self) -> str:
        """What became of the budget, where that was not met, and what was lost."""
        return "; ".join(x for x in (self.message if self.failed else "", self.verdict) if x)

    @property
    def latency(self) -> float | None:
        """Measured latency as a share of the dense one beside it: free of the machine's drift."""
        if self.measured is None or self.dense is None:
            return None
        return self.measured.median / self.dense.median

    @property
    def position(self) -> tuple[float, float] | None:
        """Latency (a share) and what is left (%), where the point has both."""
        if self.latency is None or self.accuracy is None:
            return None
        return self.latency, self.accuracy

    @property
    def predicted_ms(self) -> float | None:
        """The estimate, for the dense latency that was measured beside the point."""
        if self.predicted_share is None or self.dense is None:
            return None
        return self.predicted_share * self.dense.median

    @property
    def speedup(self) -> float | None:
        """Dense over measured latency."""
        return None if self.latency is None else 1 / self.latency

    @property
    def share(self) -> float | None:
        """Measured latency over the budget; the promise is [0.95, 1]."""
        if self.measured is None or self.budget_ms is None:
            return None
        return self.measured.median / self.budget_ms


@dataclass(frozen=True)
class DensePoint:
    """The model as it was given: its latency on `machine`, and its accuracy where it has one.

    `measure` says what `accuracy` (%) is, by the verdict, on `samples` samples: with labels it is
    accuracy, else agreement with itself or what the verdict has in its place, and 100.
    """

    timing: Timing
    machine: Machine
    accuracy: float | None = None
    measure: str = ""
    samples: int = 0


@dataclass(frozen=True)
class SweepResult:
    """All points of a sweep, in the order of methods, then budgets."""

    format: ClassVar[Format] = SWEEP

    model: str
    model_digest: str
    dense: DensePoint
    points: tuple[SweepPoint, ...]
    settings: Mapping[str, object] = field(default_factory=dict)

    def on_frontier(self, point: SweepPoint) -> bool | None:
        """Whether no other point, nor the dense model, is as good in both and better in one.

        By measured latency and what is left; None for a point that lacks either.
        """
        return None if point.position is None else point.position in self.frontier

    @property
    def frontier(self) -> tuple[tuple[float, float], ...]:
        """Latency (a share) and what is left (%) of all that nothing beats in both, by latency.

        Points of any method, and the dense model.
        """
        found = {point.position for point in self.points if point.position is not None}
        if self.dense.accuracy is not None:
            found.add((1.0, self.dense.accuracy))
        return tuple(
            sorted(mine for mine in found if not any(_dominates(other, mine) for other in found))
        )

    @property
    def exit_status(self) -> int:
        """0, or 1 where a budget is met by none of the methods, or with too much lost."""
        met = {point.budget for point in self.points if not point.failed}
        return int(any(point.budget not in met for point in self.points))


def _dominates(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one != other and one[0] <= other[0] and one[1] >= other[1]
