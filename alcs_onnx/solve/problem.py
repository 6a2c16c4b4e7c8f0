"""What every solver is given: layers with their groups in order of norm, and a budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import Protocol

import numpy as np
import numpy.typing as npt

from alcs_onnx.errors import AlcsError
from alcs_onnx.latency import Estimator, LayerEstimate
from alcs_onnx.types import BoolArray, FloatArray, IntArray, Shape


@dataclass(frozen=True)
class SortedLayer:
    """One prunable layer. A solver decides how many groups it keeps; which, follows.

    `norms` is flat, `ascending` the same values sorted; at least `floor` groups are kept.
    """

    name: str
    shape: Shape
    norms: FloatArray
    ascending: FloatArray
    floor: int
    estimate: LayerEstimate

    @property
    def groups(self) -> int:
        """All groups of the layer."""
        return self.norms.size

    @cached_property
    def energy(self) -> npt.NDArray[np.float64]:
        """energy[n]: sum of the squares of the n largest norms, n = 0 .. groups."""
        sums = np.empty(self.groups + 1)
        sums[0] = 0.0
        np.cumsum(np.square(self.ascending[::-1]), dtype=np.float64, out=sums[1:])
        return sums

    def count_from(self, norm: npt.ArrayLike) -> IntArray:
        """How many groups have at least that norm (float32), for an array of norms."""
        position = np.searchsorted(self.ascending, np.asarray(norm, np.float32), side="left")
        return np.asarray(self.groups - position, dtype=np.int64)

    def keep_mask(self, count: int) -> BoolArray:
        """True at the `count` groups of largest norm; among equals, at the first ones."""
        if count <= 0:
            return np.zeros(self.shape, dtype=bool)
        threshold = self.ascending[self.groups - count]
        keep = self.norms >= threshold
        excess = int(np.count_nonzero(keep)) - count
        if excess:
            equal = np.flatnonzero(self.norms == threshold)
            keep[equal[equal.size - excess :]] = False
        return keep.reshape(self.shape)


@dataclass(frozen=True)
class Problem:
    """Keep groups so that `constant_ms` + the layers' times is at most `budget_ms`.

    It is solvable and not trivial: every layer at its floor fits, all groups do not.
    """

    layers: tuple[SortedLayer, ...]
    constant_ms: float
    budget_ms: float
    tolerance_ms: float

    def time(self, counts: npt.ArrayLike) -> float:
        """Estimated latency (ms) when the layers keep `counts` groups."""
        return self.constant_ms + sum(
            float(layer.estimate.time(count))
            for layer, count in zip(self.layers, np.asarray(counts), strict=True)
        )

    @property
    def floors(self) -> IntArray:
        """The fewest groups each layer may keep."""
        return np.array([layer.floor for layer in self.layers], dtype=np.int64)


class Solver(Protocol):
    """Chooses how many groups each layer keeps, within floor .. groups and the budget."""

    def __call__(self, problem: Problem) -> IntArray:
        """Kept groups of each layer, in the order of `problem.layers`."""
        ...


def floor_groups(groups: int, min_density: float) -> int:
    """The fewest groups that a layer of `groups` keeps: at least one."""
    if not 0 <= min_density <= 1:
        raise AlcsError(f"a least density of {min_density} is not between 0 and 1")
    return min(groups, max(1, ceil(min_density * groups)))


def sort_layers(
    norms: Mapping[str, npt.NDArray[np.floating]], estimator: Estimator, min_density: float
) -> tuple[SortedLayer, ...]:
    """The layers of `norms` with their groups sorted; `AlcsError` for norms not finite."""
    layers = []
    for name, array in norms.items():
        flat = np.ascontiguousarray(array, dtype=np.float32).reshape(-1)
        # Single precision sorts at half the cost, and its rounding reorders equals only.
        ascending = np.sort(flat)
        if not np.isfinite(ascending[-1]):  # sorting puts NaN last
            raise AlcsError(f"layer '{name}' has weights that are not finite numbers")
        floor = floor_groups(flat.size, min_density)
        layers.append(
            SortedLayer(name, array.shape, flat, ascending, floor, estimator.layers[name])
        )
    return tuple(layers)
