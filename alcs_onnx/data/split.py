"""Setting samples aside for testing, where the data comes without a split."""

from __future__ import annotations

import numpy as np

from alcs_onnx.data.images import ImageSamples
from alcs_onnx.data.options import DataOptions
from alcs_onnx.types import BoolArray, IntArray


def split_samples(samples: ImageSamples, options: DataOptions) -> tuple[ImageSamples, ImageSamples]:
    """Training and held-out part of samples that come without a split."""
    mask = held_out(len(samples), samples.labels, options.seed, options.test_share)
    return samples.subset(np.flatnonzero(~mask)), samples.subset(np.flatnonzero(mask))


def held_out(count: int, labels: IntArray | None, seed: int, share: float) -> BoolArray:
    """A mask of the samples set aside for testing, `share` of each class."""
    generator = np.random.default_rng(seed)
    mask = np.zeros(count, dtype=bool)
    strata = (
        [np.arange(count)]
        if labels is None
        else [np.flatnonzero(labels == label) for label in np.unique(labels)]
    )
    for members in strata:
        amount = round(len(members) * share)
        mask[generator.permutation(members)[:amount]] = True
    if count > 1 and not mask.any():
        mask[int(generator.integers(count))] = True
    return mask
