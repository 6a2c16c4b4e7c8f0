"""How data is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt

from alcs_onnx.data.preprocess import Preprocess

#: Pictures that are enough to calibrate and to judge with, where nothing else is said.
DEFAULT_SAMPLES = 512


@dataclass(frozen=True, eq=False)
class ReadOptions:
    """Preprocessing, the values of other inputs, and what chance depends on.

    `values` are those of the model's inputs that the data does not give, by name, in the model's
    own shapes: the same for all samples. `cache_bytes` is how much memory decoded images may take;
    larger sets are decoded as they are used. `crop_fraction` is the share of the resized image that
    the centre crop keeps, for image files whose size is not the model's.
    """

    preprocess: Preprocess = field(default_factory=Preprocess)
    values: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    seed: int = 0
    cache_bytes: int = 2 << 30
    crop_fraction: float = 0.875


@dataclass(frozen=True, eq=False)
class DataOptions(ReadOptions):
    """How training data is read: `test_share` of it is held out where it has no test samples."""

    test_share: float = 0.1


@dataclass(frozen=True, eq=False)
class PictureOptions(ReadOptions):
    """How pictures are read: `samples` of them at most, None for `DEFAULT_SAMPLES`."""

    samples: int | None = None

    @property
    def limit(self) -> int:
        """How many are used at most."""
        return DEFAULT_SAMPLES if self.samples is None else self.samples
