"""What the methods of `optimize` share: the request, and what a method hands back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from alcs_onnx.graph import Model
from alcs_onnx.pipeline.common.results import ChannelReport, LayerReport, NumericCheck
from alcs_onnx.pipeline.common.tables import Tables
from alcs_onnx.pipeline.common.training import Progress, Trainer
from alcs_onnx.pipeline.common.workload import Note, Workload
from alcs_onnx.pipeline.optimize.channel_loop import ChannelOptions
from alcs_onnx.pipeline.optimize.checkpoint import RunState
from alcs_onnx.pipeline.optimize.plan_file import SavedPlan
from alcs_onnx.types import (
    Budget,
    ChannelCurve,
    ChannelTable,
    LatencyTable,
    LayerCurve,
    Machine,
    Timing,
)


@dataclass(frozen=True)
class Request:
    """One call of `optimize`. `output` None means a dry run; `trained` None, no data."""

    workload: Workload
    budget: Budget
    method: str
    projection: str
    channels: ChannelOptions
    tables: Tables
    plan: SavedPlan | None
    state: RunState
    trained: Trainer | None
    output: Path | None
    seed: int
    progress: Progress | None
    note: Note

    @property
    def trains(self) -> bool:
        """Whether training follows the plan."""
        return self.trained is not None and self.output is not None

    def stage(self) -> Callable[[str, float], None] | None:
        """Who is told how far a stage of measuring is."""
        return self.progress.stage if self.progress else None


@dataclass(frozen=True)
class Outcome:
    """The model that a method made, trained where it could be, and what is known about it.

    `layers` gives the rows of the report from the measured times of the nodes (ms). An
    outcome without a model stands for a dense model that is within the budget already.
    """

    dense: Timing
    machine: Machine
    budget_ms: float
    reachable_ms: tuple[float, float]
    predicted_ms: float
    model: Model | None = None
    check: NumericCheck | None = None
    mac_ratio: float = 1.0
    layers: Callable[[Mapping[str, float]], tuple[LayerReport, ...]] = lambda times: ()
    channels: tuple[ChannelReport, ...] = ()
    plan: SavedPlan | None = None
    keeps_all: bool = False
    settings: Mapping[str, object] = field(default_factory=dict)
    predicted_share: float = 1.0
    curves: tuple[LayerCurve, ...] = ()
    channel_curves: tuple[ChannelCurve, ...] = ()


class Loop(Protocol):
    """What finds a plan for the budget, from a table of measured latencies."""

    @property
    def dense_ms(self) -> float:
        """The dense latency as it is known, for which budget and estimates are."""
        ...

    @property
    def budget_ms(self) -> float:
        """The budget for the dense latency as it is known."""
        ...

    def range_ms(self) -> tuple[float, float]:
        """Least and greatest latency that a plan reaches, by the estimate (ms)."""
        ...


def already_within(
    request: Request, loop: Loop, table: LatencyTable | ChannelTable
) -> Outcome | None:
    """Say what can be reached; the outcome of a dense model that is within the budget already."""
    low, high = loop.range_ms()
    dense = table.dense.median
    request.note(
        f"dense {dense:.3f} ms, budget {loop.budget_ms:.3f} ms, "
        f"reachable by the estimate: {low:.3f} to {high:.3f} ms"
    )
    if loop.budget_ms < dense:
        return None
    return Outcome(
        dense=table.dense,
        machine=table.machine,
        budget_ms=loop.budget_ms,
        reachable_ms=(low, high),
        predicted_ms=dense,
        curves=table.curves if isinstance(table, LatencyTable) else (),
        channel_curves=table.curves if isinstance(table, ChannelTable) else (),
    )
