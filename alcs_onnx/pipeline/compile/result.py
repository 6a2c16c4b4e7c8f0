"""What `compile` returns."""

from __future__ import annotations

from dataclasses import dataclass

from alcs_onnx.fidelity import Fidelity
from alcs_onnx.pipeline.common.layers import LayerReport
from alcs_onnx.pipeline.common.verification import NumericCheck
from alcs_onnx.types import Machine, Timing


@dataclass(frozen=True)
class MeasuredFile:
    """A file that was measured: what it is, in words, and how many of its nodes are int8."""

    what: str
    int8_nodes: int
    timing: Timing


@dataclass(frozen=True)
class MeasuredPrecision:
    """The written file beside others, measured in turns on `machine`.

    The first of `files` is the one that was given, and `written` counts to the one that was
    written. `reasons` says why nodes stay float32, by how many have each.
    """

    machine: Machine
    files: tuple[MeasuredFile, ...]
    written: int
    reasons: str

    @property
    def result(self) -> MeasuredFile:
        """The written file."""
        return self.files[self.written]

    @property
    def share(self) -> float:
        """Its latency over that of the file that was given."""
        return self.result.timing.median / self.files[0].timing.median


@dataclass(frozen=True)
class CompileResult:
    """What `compile` wrote.

    `verdict` says what was lost, on pictures where there are some (`fidelity`). `unchanged` says
    that and why no layer was rewritten, and is empty where one was. `precision` is there where it
    was decided or measured which nodes are int8; `check` is then of the file before its rounding.
    """

    model: str
    output: str
    layers: tuple[LayerReport, ...]
    check: NumericCheck
    mac_ratio: float
    verdict: str
    fidelity: Fidelity | None = None
    max_loss: float | None = None
    unchanged: str = ""
    precision: MeasuredPrecision | None = None

    @property
    def checked_against(self) -> str:
        """What the outputs were checked against, in words."""
        int8 = self.precision is not None and self.precision.result.int8_nodes
        return "the original, before rounding to int8" if int8 else "the original"

    @property
    def exit_status(self) -> int:
        """0, or 1 when more was lost than may be."""
        return int(self.fidelity is not None and self.fidelity.exceeds(self.max_loss))
