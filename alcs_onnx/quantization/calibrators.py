"""The calibrators of ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from onnxruntime.quantization.calibrate import (
    EntropyCalibrater,
    MinMaxCalibrater,
    PercentileCalibrater,
)

#: Of the values of a tensor, those that are kept inside its range (percent).
_PERCENTILE = 99.999
#: Fine enough for that; the runtime's own default.
_BINS = 2048


def min_max(model: Path, op_types: list[str], augmented: Path) -> Any:
    """From the least value to the greatest."""
    return MinMaxCalibrater(model, op_types, augmented)


def percentile(model: Path, op_types: list[str], augmented: Path) -> Any:
    """Without the rarest values at both ends."""
    return PercentileCalibrater(
        model, op_types, augmented, num_bins=_BINS, percentile=_PERCENTILE, symmetric=False
    )


def entropy(model: Path, op_types: list[str], augmented: Path) -> Any:
    """The range of least Kullback-Leibler divergence, as TensorRT chooses it."""
    return EntropyCalibrater(model, op_types, augmented)
