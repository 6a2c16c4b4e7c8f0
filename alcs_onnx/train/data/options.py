"""How data is read."""

from __future__ import annotations

from dataclasses import dataclass, field

from alcs_onnx.train.data.preprocess import Augment, Preprocess


@dataclass(frozen=True)
class DataOptions:
    """Preprocessing, augmentation, the held-out share and its seed.

    `cache_bytes` is how much memory decoded images may take; larger sets are decoded as
    they are used. `crop_fraction` is the share of the resized image that the centre crop
    keeps, for image files whose size is not the model's.
    """

    preprocess: Preprocess = field(default_factory=Preprocess)
    augment: Augment = field(default_factory=Augment)
    test_share: float = 0.1
    seed: int = 0
    cache_bytes: int = 2 << 30
    crop_fraction: float = 0.875
