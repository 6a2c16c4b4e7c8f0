"""What `optimize` asks of every method: a way of removing, opened for one model on its target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, Self, TypeVar

from alcs_onnx.graph import Model
from alcs_onnx.pipeline.common.layers import LayerReport
from alcs_onnx.pipeline.common.training import Network
from alcs_onnx.pipeline.common.verification import Check
from alcs_onnx.pipeline.common.workload import Workload
from alcs_onnx.pipeline.optimize.plan_file import SavedPlan
from alcs_onnx.pipeline.optimize.result import ChannelReport
from alcs_onnx.serialized import Serialized
from alcs_onnx.solve.closed_loop import LoopState
from alcs_onnx.types import (
    BoolArray,
    ChannelCurve,
    ChannelPlan,
    FloatArray,
    LayerCurve,
    Machine,
    PrecisionPlan,
    PruningPlan,
    Timing,
)

if TYPE_CHECKING:
    from alcs_onnx.pipeline.optimize.run import Run

#: What a method decides: the groups of weights, the channels, or the float32 nodes that stay.
Plan = TypeVar("Plan", PruningPlan, ChannelPlan, PrecisionPlan)
Projected = TypeVar("Projected", bound=PruningPlan | ChannelPlan | PrecisionPlan, covariant=True)


@dataclass(frozen=True)
class Decided:
    """What a plan was decided with and what it means, for the report.

    `curves` are the measured ones that the plan was chosen by. `settings` are what the method was
    told.
    """

    settings: Mapping[str, object]
    curves: tuple[LayerCurve, ...] = ()
    channel_curves: tuple[ChannelCurve, ...] = ()
    channels: tuple[ChannelReport, ...] = ()


@dataclass(frozen=True)
class Rewritten:
    """The model to be written, checked against what it stands for.

    `mac_ratio` is of the file that was given; `layers` its rows, still without measured times.
    """

    model: Model
    check: Check
    mac_ratio: float
    layers: tuple[LayerReport, ...] = field(default=())


class Projection(Protocol[Projected]):
    """Projects weights onto {W : estimated latency <= target} (ALCS eq. 9b)."""

    def __call__(self, weights: Mapping[str, FloatArray]) -> tuple[Mapping[str, BoolArray], float]:
        """Weight masks by layer for weights by layer, and the estimated latency (ms)."""
        ...

    def plan(self, masks: Mapping[str, BoolArray]) -> Projected:
        """The plan that weight masks by layer stand for."""
        ...


class Pruning(Protocol[Plan]):
    """A way of removing, opened for the model of `workload` on its target. Values are frozen.

    Targets of plans are estimated latencies as fractions of the budget.
    """

    @property
    def workload(self) -> Workload:
        """The model that plans are for, on its target."""
        ...

    @property
    def dense(self) -> Timing:
        """The dense latency of the file that was given, as measured with the table."""
        ...

    @property
    def machine(self) -> Machine:
        """Where the table was measured."""
        ...

    @property
    def means(self) -> str:
        """By what the latency is lowered, in words: `removing channels`."""
        ...

    @property
    def obstacle(self) -> str:
        """Why nothing can be removed, whatever the budget; empty where something can."""
        ...

    @property
    def excluded(self) -> Mapping[str, str]:
        """Layers that stay the runtime's own operator, with the reason."""
        ...

    @property
    def budget_ms(self) -> float:
        """The budget for the dense latency of the table."""
        ...

    def range_ms(self) -> tuple[float, float]:
        """Least and greatest latency that a plan reaches, by the estimate (ms)."""
        ...

    def plan(
        self, target: float, weights: Mapping[str, FloatArray] | None = None, *, finer: bool = False
    ) -> Plan:
        """The solver's plan whose estimate is within `target`, or the nearest that there is.

        `weights`, by layer, are those that the choice is made by (default: the model's own). With
        `finer` the plan may lie between those that the table was measured at.
        """
        ...

    def is_smallest(self, plan: Plan) -> bool:
        """Whether no plan has a lower estimate."""
        ...

    def candidate(self, plan: Plan) -> Serialized:
        """The file that is measured for `plan`."""
        ...

    def given(self, saved: SavedPlan) -> Plan | None:
        """The plan of a file; None where the file leaves this decision to the solver.

        Raises `AlcsError` where it does not fit the model.
        """
        ...

    def saved(self, plan: Plan) -> SavedPlan:
        """All that the method removes, as it is kept in a file for its users."""
        ...

    def checkpointed(self, plan: Plan) -> SavedPlan:
        """What this plan alone removes of the workload's model, for a run that is resumed."""
        ...

    def slower(self, run: Run, plan: Plan) -> Mapping[str, str]:
        """Layers of `plan` that the runtime's own operator runs quicker, with the reason.

        Decided by measuring the whole model both ways; empty where it gains nothing.
        """
        ...

    def excluding(self, layers: Mapping[str, str]) -> Pruning[Plan]:
        """The same with `layers` (name -> reason) left to the runtime's own operator."""
        ...

    def pruned(self, run: Run, plan: Plan) -> Network:
        """The model with what `plan` removes gone or zero, and the other weights as they are."""
        ...

    def refitted(self, run: Run, plan: Plan) -> tuple[Plan, Network]:
        """The same with what is left refitted, if there are pictures.

        The plan then says what is left indeed, which takes as long.
        """
        ...

    def projection(self, loop: LoopState) -> Projection[Plan] | None:
        """The projection onto what fits the budget, by what `loop` has learnt; None: no ADMM."""
        ...

    def rewrite(self, run: Run, network: Network, plan: Plan) -> Rewritten:
        """The model to be written, of the (trained) network, and what it was checked against."""
        ...

    def decided(self, plan: Plan | None) -> Decided:
        """What the report says of the decision; None where nothing had to be decided."""
        ...


class RuntimesOwn:
    """What all prunings share after which every layer is the runtime's own operator."""

    @property
    def excluded(self) -> Mapping[str, str]:
        """None is kept out of the decision."""
        return {}

    def slower(self, run: Run, plan: object) -> Mapping[str, str]:
        """None: there is no other operator to be slower."""
        return {}

    def excluding(self, layers: Mapping[str, str]) -> Self:
        """Itself, likewise."""
        return self
