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
    `accuracy` is that of the written file, or its agreement with the dense model where there are
    pictures without labels; None without either. `fidelity` has all that is known of the loss, and
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
        cls, method: str, budget: str, result: OptimizeResult, output: str
    ) -> SweepPoint:
        """The row of a finished `optimize` run that wrote, if anything, `output`."""
        assert result.status != "dry run"
        stages = result.accuracy.stages if result.accuracy is not None else {}
        accuracy = [*stages.values()][-1] if stages else None
        if accuracy is None and result.fidelity is not None:
            accuracy = result.fidelity.quality
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
            fidelity=result.fidelity,
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
        """Latency (a share) and accuracy, where the point has both."""
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

    `measure` says what `accuracy` is, as `Accuracy.measure` does, on `samples` test samples.
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

    def on_front(self, point: SweepPoint) -> bool | None:
        """Whether no other point, nor the dense model, is as good in both and better in one.

        By measured latency and accuracy; None for a point that lacks either.
        """
        mine = point.position
        if mine is None:
            return None
        others = [other.position for other in self.points if other.position is not None]
        if self.dense.accuracy is not None:
            others.append((1.0, self.dense.accuracy))
        return not any(_dominates(other, mine) for other in others)

    @property
    def exit_status(self) -> int:
        """0, or 1 when a budget was missed or cannot be reached, or too much was lost."""
        return int(any(point.failed for point in self.points))


def _dominates(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one != other and one[0] <= other[0] and one[1] >= other[1]
