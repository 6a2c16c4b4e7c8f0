"""What `compile` is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from alcs_onnx.errors import AlcsError
from alcs_onnx.input_settings import InputSettings
from alcs_onnx.pipeline.common.evidence import Judging
from alcs_onnx.pipeline.common.workload import Measuring
from alcs_onnx.pipeline.compile.precisions import PRECISIONS


@dataclass(frozen=True, kw_only=True)
class CompileRequest:
    """A sparse model, and the file to write.

    judging: pictures on which it is said what the file does.
    simd_group: SIMD group size of every layer; None finds it from the zeros of each.
    precision: "float32"; "int8": every node that can be is int8; "auto": those that are quicker so,
        by measuring. The last two need pictures to calibrate with.
    measuring: how latency is measured, where it is.
    """

    model: Path
    output: Path
    inputs: InputSettings = field(default_factory=InputSettings)
    simd_group: int | None = None
    judging: Judging = field(default_factory=Judging)
    precision: str = PRECISIONS[0]
    measuring: Measuring = field(default_factory=Measuring)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise AlcsError(f"precision '{self.precision}' is not one of {', '.join(PRECISIONS)}")
        if self.precision != "float32" and self.judging.pictures is None:
            raise AlcsError(
                f"--precision {self.precision} needs pictures to calibrate with: --calibration "
                "PICTURES, labels are not needed"
            )
