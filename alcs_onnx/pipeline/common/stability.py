"""Which values of a model's outputs rounding errors decide: they cannot be compared.

Indices of a TopK, boxes of a NonMaxSuppression and the length of a NonZero jump where two scores
are equal but for roundings. Such a place shows in the original alone, run once more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from alcs_onnx import ort
from alcs_onnx.differences import arrays_in, elements_apart, is_float, value_difference

#: Relative noise in inputs that stands for the rounding errors of thousands of float32 terms.
ROUNDING = 1e-6
#: Runs with noise: at an exact tie, each misses the jump with probability one half.
_RUNS = 8


def outputs_again(
    optimized: ort.Session, unoptimized: ort.Session, feeds: ort.Feeds, noise: float
) -> Iterator[Mapping[str, Any]]:
    """The original's outputs by name, once more: what they share is no matter of roundings.

    First without the runtime's optimisations, then for float inputs with a relative `noise`; a
    model without float inputs has the first only.
    """
    yield ort.run(unoptimized, feeds)
    if not any(is_float(array.dtype) and array.size for array in feeds.values()):
        return
    random = np.random.default_rng(0)
    for _ in range(_RUNS):
        noisy = {
            name: (array * (1 + noise * random.uniform(-1, 1, array.shape))).astype(array.dtype)
            if is_float(array.dtype)
            else array
            for name, array in feeds.items()
        }
        yield ort.run(optimized, noisy)


def stable_difference(
    found: object, expected: object, again: Sequence[object], tolerance: float
) -> float | None:
    """`value_difference` where `expected` stays within `tolerance` in all of `again`.

    Of arrays the elements that stay are compared; sequences, maps and arrays whose shape changes
    are compared as a whole or not at all. None where nothing stays.
    """
    gaps = [value_difference(other, expected) for other in again]
    if max(gaps, default=0.0) == 0:
        return value_difference(found, expected)
    array, others = np.asarray(expected), [np.asarray(other) for other in again]
    single = len(list(arrays_in(expected))) == 1 and not isinstance(expected, (Mapping, list))
    if not single or any(other.shape != array.shape for other in others):
        return None if max(gaps) > tolerance else value_difference(found, expected)
    stays = ~np.any([elements_apart(other, array, tolerance) for other in others], axis=0)
    if not stays.any():
        return None
    result = np.asarray(found)
    if result.shape != array.shape:
        return value_difference(result, array)
    return value_difference(result[stays], array[stays])
