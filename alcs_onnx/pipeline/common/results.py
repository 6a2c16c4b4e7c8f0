"""What the commands return: plain frozen values, printed and exported by `report`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from alcs_onnx.types import ChannelCurve, LayerCurve, Machine, Shape, Timing

#: Version of the JSON form of an `OptimizeResult`.
SCHEMA = 1


@dataclass(frozen=True)
class LayerReport:
    """One convolution: what became of it, and its time in ms (None where not measured)."""

    layer: str
    weight_shape: Shape
    output_shape: Shape
    macs: int
    op: str
    simd_group: int
    density: float
    fused: str
    dense_ms: float | None
    predicted_ms: float | None
    measured_ms: float | None
    reason: str | None


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
class NumericCheck:
    """Largest differences of the written file's outputs, relative to the largest output.

    `with_library` against the masked dense model in plain ONNX Runtime; `without_library`
    likewise, the operator replaced by its function body.
    """

    with_library: float
    without_library: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether both differences are within the tolerance."""
        return max(self.with_library, self.without_library) <= self.tolerance


@dataclass(frozen=True)
class Accuracy:
    """A share in percent at the stages it was measured: dense, one-shot, ADMM, final.

    `measure` says of what: top-1 on labelled test data, or agreement with the dense model.
    """

    measure: str
    samples: int
    stages: Mapping[str, float]


@dataclass(frozen=True)
class CompileResult:
    """What `compile` wrote."""

    model: str
    output: str
    layers: tuple[LayerReport, ...]
    check: NumericCheck
    mac_ratio: float


@dataclass(frozen=True)
class OptimizeResult:
    """What `optimize` did and measured. Times in ms.

    `predicted_share` is the estimate over the dense latency that it was made for: the machine may
    have become slower or quicker by the time that `dense` and `sparse` were measured. `curves`
    are the measured curves of layers that the plan was chosen by, and `channel_curves` those of
    channel groups.
    """

    status: Literal["met", "missed", "unchanged", "dry run"]
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
    kind: str = field(default="alcs-onnx optimization", init=False)
    schema: int = field(default=SCHEMA, init=False)

    @property
    def exit_status(self) -> int:
        """0, or 1 when the measured model misses the budget."""
        return 1 if self.status == "missed" else 0
