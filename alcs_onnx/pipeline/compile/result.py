"""What `compile` returns."""

from __future__ import annotations

from dataclasses import dataclass

from alcs_onnx.fidelity import Fidelity
from alcs_onnx.pipeline.common.layers import LayerReport
from alcs_onnx.pipeline.common.verification import NumericCheck


@dataclass(frozen=True)
class CompileResult:
    """What `compile` wrote.

    `verdict` says what was lost, on pictures where there are some (`fidelity`). `unchanged` says
    that and why no layer was rewritten, and is empty where one was.
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

    @property
    def exit_status(self) -> int:
        """0, or 1 when more was lost than may be."""
        return int(self.fidelity is not None and self.fidelity.exceeds(self.max_loss))
