"""Latency of a sparse model from the number of groups each layer stores (ALCS eq. 2-6)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import isfinite

import numpy as np
import numpy.typing as npt

from alcs_onnx.errors import AlcsError
from alcs_onnx.types import IntArray, LatencyTable, LayerCurve


@dataclass(frozen=True)
class LayerEstimate:
    """T_l of ALCS eq. 3: run time of one layer, piece-wise linear in its stored groups.

    `knots` (k_i of eq. 4) increases strictly from 0; `times` (t_i) in ms, never decreasing.
    """

    knots: npt.NDArray[np.int64]
    times: npt.NDArray[np.float64]

    @classmethod
    def from_curve(cls, curve: LayerCurve) -> LayerEstimate:
        """The estimate of a measured curve; raises `AlcsError` for an unusable one."""
        knots = np.asarray(curve.groups, dtype=np.int64)
        times = np.asarray(curve.times, dtype=np.float64)
        if (
            knots.shape != times.shape
            or knots.size < 2
            or knots[0] != 0
            or (np.diff(knots) <= 0).any()
            or not np.isfinite(times).all()
            or (np.diff(times) < 0).any()
        ):
            raise AlcsError(f"layer '{curve.layer}': its latency curve is not a rising one from 0")
        return cls(knots, times)

    @property
    def groups(self) -> int:
        """All groups of the layer."""
        return int(self.knots[-1])

    @property
    def slopes(self) -> npt.NDArray[np.float64]:
        """alpha_i of ALCS eq. 6, in ms per group."""
        return np.asarray(np.diff(self.times) / np.diff(self.knots))

    def time(self, groups: int | IntArray) -> npt.NDArray[np.float64]:
        """Run time (ms) with that many stored groups, for any array of counts.

        ALCS eq. 4; which pieces count, its delta_i, is eq. 5.
        """
        return np.asarray(np.interp(groups, self.knots, self.times))

    def groups_within(self, milliseconds: float) -> int:
        """The most groups that take at most that long; -1 if even none takes longer."""
        if milliseconds < self.times[0]:
            return -1
        if milliseconds >= self.times[-1]:
            return self.groups
        after = int(np.searchsorted(self.times, milliseconds, side="right"))
        low, high = self.times[after - 1], self.times[after]
        first, last = int(self.knots[after - 1]), int(self.knots[after])
        count = first + int((milliseconds - low) / (high - low) * (last - first))
        # Rounding may be off by one to either side.
        while count > first and float(self.time(count)) > milliseconds:
            count -= 1
        while count < last and float(self.time(count + 1)) <= milliseconds:
            count += 1
        return count

    def scaled(self, factor: float) -> LayerEstimate:
        """The same layer with every time multiplied by `factor`."""
        return LayerEstimate(self.knots, self.times * factor)


@dataclass(frozen=True)
class Estimator:
    """T(W) of ALCS eq. 2: `constant` (tau and the layers left alone) plus the layers' curves.

    All times in ms.
    """

    constant: float
    layers: Mapping[str, LayerEstimate]

    @classmethod
    def from_curves(cls, constant: float, curves: Iterable[LayerCurve]) -> Estimator:
        """The estimator made of `constant` (ms) and these curves."""
        return cls(constant, {curve.layer: LayerEstimate.from_curve(curve) for curve in curves})

    @classmethod
    def from_table(cls, table: LatencyTable) -> Estimator:
        """The estimator of a measured table; raises `AlcsError` for an unusable one.

        A layer left alone that has a curve counts with the time of the runtime's own Conv.
        """
        if not isfinite(table.tau):
            raise AlcsError("the latency table has no usable rest of the run (tau)")
        constant = table.tau
        for curve in table.curves:
            if curve.layer in table.left_alone:
                constant += curve.dense_time if isfinite(curve.dense_time) else curve.times[-1]
        sparse = (curve for curve in table.curves if curve.layer not in table.left_alone)
        return cls.from_curves(constant, sparse)

    def model_ms(self, groups: Mapping[str, int]) -> float:
        """Latency (ms) by ALCS eq. 2; a layer that `groups` does not name stores all groups."""
        return self.constant + sum(
            float(layer.time(groups.get(name, layer.groups))) for name, layer in self.layers.items()
        )

    def scaled(self, factor: float) -> Estimator:
        """All times multiplied by `factor`: the correction from a measured model."""
        if not (isfinite(factor) and factor > 0):
            raise AlcsError(f"a latency cannot be corrected by a factor of {factor}")
        return replace(
            self,
            constant=self.constant * factor,
            layers={name: layer.scaled(factor) for name, layer in self.layers.items()},
        )


def restricted(table: LatencyTable, groups: Mapping[str, int]) -> LatencyTable:
    """The measured curves, as far as layers reach that have only so many groups left.

    A layer's time goes by its stored groups, wherever they are (ALCS section III-C), so the curve
    of a full layer serves a smaller one. Layers that are not named keep their curve.
    """
    curves = []
    for curve in table.curves:
        last = min(groups.get(curve.layer, curve.groups[-1]), curve.groups[-1])
        knots = (*(count for count in curve.groups if count < last), last)
        times = tuple(float(time) for time in np.interp(knots, curve.groups, curve.times))
        curves.append(replace(curve, groups=knots, times=times))
    return replace(table, curves=tuple(curves))
