"""What `compile` is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from alcs_onnx.input_settings import InputSettings


@dataclass(frozen=True, kw_only=True)
class CompileRequest:
    """A sparse model, and the file to write.

    simd_group: SIMD group size of every layer; None finds it from the zeros of each.
    """

    model: Path
    output: Path
    inputs: InputSettings = field(default_factory=InputSettings)
    simd_group: int | None = None
    seed: int = 0
