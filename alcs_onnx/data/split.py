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
    for members in _by_class(count, labels):
        amount = round(len(members) * share)
        mask[generator.permutation(members)[:amount]] = True
    if count > 1 and not mask.any():
        mask[int(generator.integers(count))] = True
    return mask


def stratified_order(count: int, strata: IntArray | None, seed: int) -> IntArray:
    """The numbers below `count` in an order whose every beginning has its share of each class."""
    generator = np.random.default_rng(seed)
    keys = np.empty(count)
    for members in _by_class(count, strata):
        places = np.arange(len(members)) + generator.random()
        keys[generator.permutation(members)] = places / len(members)
    return np.argsort(keys, kind="stable")


def halves(count: int, strata: IntArray | None) -> tuple[IntArray, IntArray]:
    """The numbers below `count` in two parts, every other one of each class; both in order."""
    first = np.zeros(count, dtype=bool)
    first[np.concatenate(_by_class(count, strata))[::2]] = True
    return np.flatnonzero(first), np.flatnonzero(~first)


def _by_class(count: int, strata: IntArray | None) -> list[IntArray]:
    if strata is None:
        return [np.arange(count)]
    return [np.flatnonzero(strata == label) for label in np.unique(strata)]
