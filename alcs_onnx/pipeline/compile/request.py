"""What `compile` is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from alcs_onnx.input_settings import InputSettings
from alcs_onnx.pipeline.common.evidence import Judging


@dataclass(frozen=True, kw_only=True)
class CompileRequest:
    """A sparse model, and the file to write.

    judging: pictures on which it is said what the file does.
    simd_group: SIMD group size of every layer; None finds it from the zeros of each.
    """

    model: Path
    output: Path
    inputs: InputSettings = field(default_factory=InputSettings)
    simd_group: int | None = None
    judging: Judging = field(default_factory=Judging)
    seed: int = 0
