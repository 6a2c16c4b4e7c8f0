"""How data is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt

from alcs_onnx.data.preprocess import Preprocess


@dataclass(frozen=True)
class DataOptions:
    """Preprocessing, the held-out share and its seed.

    `values` are those of the model's inputs that the data does not give, by name, in the model's
    own shapes: the same for all samples. `cache_bytes` is how much memory decoded images may take;
    larger sets are decoded as they are used. `crop_fraction` is the share of the resized image that
    the centre crop keeps, for image files whose size is not the model's.
    """

    preprocess: Preprocess = field(default_factory=Preprocess)
    values: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    test_share: float = 0.1
    seed: int = 0
    cache_bytes: int = 2 << 30
    crop_fraction: float = 0.875
