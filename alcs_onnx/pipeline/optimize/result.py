"""What `optimize` returns: one frozen value, written as JSON field by field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from alcs_onnx.fidelity import Fidelity
from alcs_onnx.formats import OPTIMIZATION, Format
from alcs_onnx.pipeline.common.behaviour import Behaviour
from alcs_onnx.pipeline.common.layers import LayerReport
from alcs_onnx.pipeline.common.training import Accuracy
from alcs_onnx.pipeline.common.verification import NumericCheck
from alcs_onnx.pipeline.optimize.methods import METHODS, precision_of
from alcs_onnx.types import ChannelCurve, LayerCurve, Machine, Timing

#: How a run ended. "unchanged": the dense model is within the budget already. "lost": the budget is
#: met, but more was lost than may be, or the network is destroyed.
Status = Literal["met", "missed", "lost", "unchanged", "dry run"]


@dataclass(frozen=True)
class ChannelReport:
    """One channel group: the layers it runs through, and how many of its channels stay.

    `saved_ms` is what the model gains when this group alone is reduced so far. `mixed_by` are nodes
    that take one value of several of its channels, which is one of those that stay now.
    """

    group: str
    layers: tuple[str, ...]
    channels: int
    kept: int
    saved_ms: float | None
    reason: str | None
    mixed_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Repaired:
    """What was set right in the file apart from the pruning, and what that gained.

    `what` says it, item by item. `given` is the latency of the file as it was given, `dense` with
    that set right: what budgets and percentages are of.
    """

    what: tuple[str, ...]
    given: Timing
    dense: Timing

    @property
    def message(self) -> str:
        """One line."""
        return (
            f"{' and '.join(self.what)}: {self.given.median:.3f} -> {self.dense.median:.3f} ms; "
            f"percentages are of {self.dense.median:.3f} ms"
        )


@dataclass(frozen=True)
class TriedMethod:
    """One method of `--method auto`: the best that it made within the budget, or why there is none.

    `latency_ms` is the median beside the dense model, `share` that over the budget, and `bytes` the
    size of the file.
    """

    method: str
    outcome: Literal["chosen", "met", "missed", "unreachable", "not tried"]
    why: str = ""
    latency_ms: float | None = None
    share: float | None = None
    fidelity: Fidelity | None = None
    bytes: int | None = None


@dataclass(frozen=True)
class OptimizeResult:
    """What `optimize` did and measured. Times in ms.

    `predicted_share` is the estimate over the dense latency that it was made for: the machine may
    have become slower or quicker by the time that `dense` and `sparse` were measured. `curves`
    are the measured curves of layers that the plan was chosen by, and `channel_curves` those of
    channel groups. `repaired` is there where something was set right in the file. `behaviour` is
    the dense model's on the pictures that it was judged by, `fidelity` what is left of that, and
    `verdict` says that in one line. `tried` are the methods that were compared.
    """

    format: ClassVar[Format] = OPTIMIZATION

    status: Status
    message: str
    model: str
    output: str | None
    budget: str
    budget_ms: float
    reachable_ms: tuple[float, float]
    machine: Machine
    dense: Timing
    sparse: Timing | None
    predicted_ms: float
    mac_ratio: float
    layers: tuple[LayerReport, ...]
    channels: tuple[ChannelReport, ...] = ()
    accuracy: Accuracy | None = None
    check: NumericCheck | None = None
    history: tuple[Mapping[str, float | str], ...] = ()
    settings: Mapping[str, object] = field(default_factory=dict)
    seconds: float = 0.0
    predicted_share: float | None = None
    model_digest: str = ""
    curves: tuple[LayerCurve, ...] = ()
    channel_curves: tuple[ChannelCurve, ...] = ()
    repaired: Repaired | None = None
    behaviour: Behaviour | None = None
    fidelity: Fidelity | None = None
    verdict: str = ""
    tried: tuple[TriedMethod, ...] = ()

    @property
    def checked_against(self) -> str:
        """What the outputs were checked against, in words."""
        method = str(self.settings.get("method"))
        if method == "int8":
            return "the original, before rounding to int8"
        if method in METHODS and precision_of(method) == "int8":
            return "the original with the same weights removed, before rounding to int8"
        return "the original with the same weights removed"

    @property
    def exit_status(self) -> int:
        """0, or 1 when the measured model misses the budget or has lost too much."""
        return 1 if self.status in ("missed", "lost") else 0
