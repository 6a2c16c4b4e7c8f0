"""What `compile` returns."""

from __future__ import annotations

from dataclasses import dataclass

from alcs_onnx.pipeline.common.layers import LayerReport
from alcs_onnx.pipeline.common.verification import NumericCheck


@dataclass(frozen=True)
class CompileResult:
    """What `compile` wrote.

    `unchanged` says that and why no layer was rewritten, and is empty where one was.
    """

    model: str
    output: str
    layers: tuple[LayerReport, ...]
    check: NumericCheck
    mac_ratio: float
    unchanged: str = ""
