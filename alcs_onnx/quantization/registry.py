"""Calibrators by name: how the range of a tensor is chosen from what was seen. Each is one row."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from alcs_onnx.registry import Registry, Row

#: Makes the runtime's calibrator of a model file, the types of nodes whose tensors are measured,
#: and the file to write the model with its measuring nodes to.
MakeCalibrator = Callable[[Path, list[str], Path], Any]

CALIBRATORS: Registry[MakeCalibrator] = Registry(
    "calibrator",
    __name__,
    {
        "min-max": Row("calibrators:min_max", "all that was seen"),
        "extremes": Row("calibrators:extremes", "all that was seen on nine pictures of ten"),
        "percentile": Row("calibrators:percentile", "all but the rarest thousandth of a percent"),
        "entropy": Row("calibrators:entropy", "the range whose int8 histogram is nearest"),
    },
)
