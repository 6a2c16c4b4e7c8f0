"""What `optimize` returns: one frozen value, written as JSON field by field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from alcs_onnx.formats import OPTIMIZATION, Format
from alcs_onnx.pipeline.common.layers import LayerReport
from alcs_onnx.pipeline.common.training import Accuracy
from alcs_onnx.pipeline.common.verification import NumericCheck
from alcs_onnx.types import ChannelCurve, LayerCurve, Machine, Timing

#: How a run ended. "unchanged": the dense model is within the budget already.
Status = Literal["met", "missed", "unchanged", "dry run"]


@dataclass(frozen=True)
class ChannelReport:
    """One channel group: the layers it runs through, and how many of its channels stay.

    `saved_ms` is what the model gains when this group alone is reduced so far.
    """

    group: str
    layers: tuple[str, ...]
    channels: int
    kept: int
    saved_ms: float | None
    reason: str | None


@dataclass(frozen=True)
class OptimizeResult:
    """What `optimize` did and measured. Times in ms.

    `predicted_share` is the estimate over the dense latency that it was made for: the machine may
    have become slower or quicker by the time that `dense` and `sparse` were measured. `curves`
    are the measured curves of layers that the plan was chosen by, and `channel_curves` those of
    channel groups.
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

    @property
    def exit_status(self) -> int:
        """0, or 1 when the measured model misses the budget."""
        return 1 if self.status == "missed" else 0
