"""The calibrators of ONNX Runtime, and one that is made of its parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from onnxruntime.quantization.calibrate import (
    CalibrationDataReader,
    CalibrationMethod,
    EntropyCalibrater,
    MinMaxCalibrater,
    PercentileCalibrater,
    TensorsData,
)

#: Of the values of a tensor, those that are kept inside its range (percent).
_PERCENTILE = 99.999
#: Fine enough for that; the runtime's own default.
_BINS = 2048
#: Of the pictures, those whose own extremes are inside a tensor's range at either end (percent).
_MOST_PICTURES = 90.0


class _Extremes(MinMaxCalibrater):  # type: ignore[misc]
    """Ranges by the least and greatest values of each picture: a percentile of either.

    With 100 that is what the runtime's own calibrator finds. A single picture cannot stretch a
    range with less, however few pictures there are, and nothing but two values a tensor and picture
    is kept, where histograms need all values.
    """

    def __init__(self, percent: float, model: Path, op_types: list[str], augmented: Path) -> None:
        super().__init__(model, op_types, augmented)
        self.percent = percent

    def collect_data(self, data_reader: CalibrationDataReader) -> None:
        """Run the model on what the reader gives, and keep the extremes."""
        while feeds := data_reader.get_next():
            measured = self.infer_session.run(None, feeds)[self.num_model_outputs :]
            self.intermediate_outputs.append([np.ravel(value)[0] for value in measured])

    def compute_data(self) -> TensorsData:
        """The ranges of all that was collected; infinite where a value was."""
        names = [output.name for output in self.infer_session.get_outputs()]
        ends = np.array(self.intermediate_outputs, np.float32)
        ends[:, ~np.isfinite(ends).all(axis=0)] = np.inf
        # The runtime adds a least and a greatest value for each tensor, in turns.
        low = np.percentile(ends[:, 0::2], 100 - self.percent, axis=0, method="nearest")
        high = np.percentile(ends[:, 1::2], self.percent, axis=0, method="nearest")
        tensors = [name.rpartition("_")[0] for name in names[self.num_model_outputs :: 2]]
        found = zip(tensors, zip(low, high, strict=True), strict=True)
        return TensorsData(CalibrationMethod.MinMax, dict(found))


def min_max(model: Path, op_types: list[str], augmented: Path) -> Any:
    """From the least value to the greatest."""
    return _Extremes(100.0, model, op_types, augmented)


def extremes(model: Path, op_types: list[str], augmented: Path) -> Any:
    """From the least value to the greatest of most pictures."""
    return _Extremes(_MOST_PICTURES, model, op_types, augmented)


def percentile(model: Path, op_types: list[str], augmented: Path) -> Any:
    """Without the rarest values at both ends."""
    return PercentileCalibrater(
        model, op_types, augmented, num_bins=_BINS, percentile=_PERCENTILE, symmetric=False
    )


def entropy(model: Path, op_types: list[str], augmented: Path) -> Any:
    """The range of least Kullback-Leibler divergence, as TensorRT chooses it."""
    return EntropyCalibrater(model, op_types, augmented)
