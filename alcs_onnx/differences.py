"""How far two arrays, or two streams of arrays, are apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import inf, isfinite, log10, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from alcs_onnx.types import Shape

Array = npt.NDArray[Any]

#: Tensors whose largest value is below this are compared as if it were this: the runtime's
#: sigmoid is a polynomial that is right to 1e-7 in absolute terms, also far below that.
FLOOR = 1e-2


def relative_difference(found: Array, expected: Array) -> float:
    """Largest absolute difference over the largest absolute finite expected value or `FLOOR`.

    Infinity where the shapes part, where only one of two values is finite, or where only one is
    NaN.
    """
    if found.shape != expected.shape:
        return inf
    if expected.size == 0:
        return 0.0
    wide, reference = found.astype(np.float64), expected.astype(np.float64)
    largest = float(_gaps(wide, reference).max())
    if not isfinite(largest):
        return inf
    scale = np.abs(reference[np.isfinite(reference)]).max(initial=FLOOR)
    return largest / float(scale)


def value_difference(found: object, expected: object) -> float:
    """How far an output of a model is from the expected one, whatever kind of value they are.

    Floats of one type as `relative_difference`; sequences and maps by the worst of their
    elements; whole numbers, truth values and texts by the share of them that differs, because a
    float that is rounded, or the largest of several, is now and then another one by one rounding
    error. Infinity where kind or shape part.
    """
    if expected is None or found is None:
        return 0.0 if found is expected else inf
    if isinstance(expected, Mapping):
        if not isinstance(found, Mapping) or found.keys() != expected.keys():
            return inf
        return max((value_difference(found[key], x) for key, x in expected.items()), default=0.0)
    if isinstance(expected, (list, tuple)):
        if not isinstance(found, (list, tuple)) or len(found) != len(expected):
            return inf
        return max(map(value_difference, found, expected), default=0.0)
    one, other = np.asarray(found), np.asarray(expected)
    if one.dtype != other.dtype or one.shape != other.shape:
        return inf
    if is_float(other.dtype):
        return relative_difference(one, other)
    return float(np.mean(one != other)) if other.size else 0.0


def elements_apart(found: Array, expected: Array, tolerance: float) -> npt.NDArray[np.bool_]:
    """Which elements of two arrays of one shape are apart, by the measure of `value_difference`.

    Floats by more than `tolerance` of the largest finite expected value, all else at all.
    """
    if not is_float(expected.dtype):
        return np.asarray(found != expected)
    reference = expected.astype(np.float64)
    scale = np.abs(reference[np.isfinite(reference)]).max(initial=FLOOR)
    return np.asarray(_gaps(found.astype(np.float64), reference) > tolerance * scale)


def is_float(dtype: np.dtype[Any]) -> bool:
    """Whether values of `dtype` are rounded; bfloat16 is, which numpy has no kind for."""
    return dtype.kind == "f" or dtype.name == "bfloat16"


def arrays_in(value: object) -> Iterator[Array]:
    """The arrays that an output of a model is made of."""
    if isinstance(value, Mapping):
        value = tuple(value.values())
    if isinstance(value, (list, tuple)):
        for element in value:
            yield from arrays_in(element)
    elif value is not None:
        yield np.asarray(value)


def _gaps(found: Array, expected: Array) -> Array:
    """Absolute differences; 0 between equal infinities and NaNs, infinity where one is NaN."""
    with np.errstate(invalid="ignore"):
        gaps = np.asarray(np.abs(found - expected))
    gaps[(found == expected) | (np.isnan(found) & np.isnan(expected))] = 0.0
    gaps[np.isnan(gaps)] = inf
    return gaps


@dataclass(frozen=True)
class Difference:
    """What `Differences` found.

    `largest` and `mean` are absolute, `relative` is `largest` over the reference's largest
    absolute value or `FLOOR`. `largest` is infinite where one value is finite and its counterpart
    is not, or is the other infinity; NaN in both is no difference. `not_finite` counts such
    values, in the reference and in the other; `mean`, `cosine` and `snr_db` leave them out.
    `cosine` is the cosine similarity and `snr_db` the reference's energy over the difference's in
    decibels; None where a sum is zero. `sample` and `index` say where the largest difference is.
    """

    largest: float
    mean: float
    relative: float
    cosine: float | None
    snr_db: float | None
    sample: int
    index: Shape
    not_finite: tuple[int, int]


class Differences:
    """Sums up the differences of one tensor over several batches, without keeping any."""

    def __init__(self) -> None:
        self._largest = self._scale = 0.0
        self._where: tuple[int, Shape] = (0, ())
        self._total = self._dot = self._energy = self._other = self._noise = 0.0
        self._count = 0
        self._not_finite = [0, 0]

    def add(self, expected: Array, found: Array, first: int, samples: int) -> None:
        """Take in the arrays of `samples` samples, the first of which is number `first`.

        The first axis counts samples where it has that length. Shapes are equal.
        """
        if expected.size == 0:
            return
        e, f = expected.astype(np.float64), found.astype(np.float64)
        gaps = _gaps(f, e)
        largest = float(gaps.max())
        if largest > self._largest:
            index = tuple(int(i) for i in np.unravel_index(int(gaps.argmax()), gaps.shape))
            batched = bool(index) and gaps.shape[0] == samples
            self._where = (first + index[0], index[1:]) if batched else (first, index)
            self._largest = largest
        finite = np.isfinite(e) & np.isfinite(f)
        if not finite.all():
            self._not_finite[0] += int((~np.isfinite(e)).sum())
            self._not_finite[1] += int((~np.isfinite(f)).sum())
            e, f, gaps = e[finite], f[finite], gaps[finite]
        self._count += e.size
        self._scale = max(self._scale, float(np.abs(e).max(initial=0.0)))
        self._total += float(gaps.sum())
        self._dot += float((e * f).sum())
        self._energy += float((e * e).sum())
        self._other += float((f * f).sum())
        self._noise += float((gaps * gaps).sum())

    def result(self) -> Difference:
        """The differences of everything that was added."""
        lengths = sqrt(self._energy) * sqrt(self._other)
        return Difference(
            largest=self._largest,
            mean=self._total / self._count if self._count else 0.0,
            relative=self._largest / max(self._scale, FLOOR),
            cosine=min(1.0, max(-1.0, self._dot / lengths)) if lengths > 0 else None,
            snr_db=(
                10 * log10(self._energy / self._noise)
                if self._noise > 0 and self._energy > 0
                else None
            ),
            sample=self._where[0],
            index=self._where[1],
            not_finite=(self._not_finite[0], self._not_finite[1]),
        )
