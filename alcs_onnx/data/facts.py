"""What values a model is given."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from alcs_onnx.data.samples import Samples
from alcs_onnx.errors import DataError

_BATCH = 32


@dataclass(frozen=True)
class ValueRange:
    """The values of one input, after preprocessing; `std` is that of all values together."""

    minimum: float
    maximum: float
    mean: float
    std: float


def input_range(samples: Samples, limit: int | None = None) -> tuple[ValueRange | None, ...]:
    """The ranges of the inputs in graph order, of the first `limit` samples, by default of all.

    None for an input that holds no numbers. Raises `DataError` where there are no samples.
    """
    sums: list[_Sums | None] = []
    left = math.inf if limit is None else limit
    for batch in samples.batches(_BATCH, training=False):
        if left <= 0:
            break
        if not sums:
            sums = [_Sums() if array.dtype.kind in "fiub" else None for array in batch.inputs]
        rows = int(min(left, batch.size))
        for found, array in zip(sums, batch.inputs, strict=True):
            if found is not None:
                counts = array.ndim > 0 and array.shape[0] == batch.size
                found.add(array[:rows] if counts else array)
        left -= rows
    if not sums:
        raise DataError("there are no samples to see the values of")
    return tuple(None if found is None else found.range() for found in sums)


class _Sums:
    """Moments that batches are added to (Chan et al. 1979), exact where the mean is far from 0."""

    def __init__(self) -> None:
        self.count, self.mean, self.squares = 0, 0.0, 0.0
        self.minimum, self.maximum = math.inf, -math.inf

    def add(self, array: npt.NDArray[Any]) -> None:
        if array.size == 0:
            return
        values = array.astype(np.float64)
        mean = float(values.mean())
        total, apart = self.count + values.size, mean - self.mean
        squares = float(np.square(values - mean).sum())
        self.squares += squares + apart**2 * self.count * values.size / total
        self.mean += apart * values.size / total
        self.count = total
        self.minimum = min(self.minimum, float(values.min()))
        self.maximum = max(self.maximum, float(values.max()))

    def range(self) -> ValueRange:
        std = math.sqrt(self.squares / self.count) if self.count else 0.0
        return ValueRange(self.minimum, self.maximum, self.mean, std)
