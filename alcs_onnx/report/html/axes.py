"""Axes of charts: where values lie in pixels, and ticks at round numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Axis:
    """A range of values on a range of pixels."""

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...]
    step: float

    def at(self, value: float) -> float:
        """The pixel of a value."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 2)

    def write(self, value: float) -> str:
        """A tick with as many decimals as its step has."""
        decimals = max(0, -math.floor(math.log10(self.step) + 1e-9))
        return f"{value:.{decimals}f}" if abs(value) < 1e6 and decimals < 7 else f"{value:g}"


#: Smaller steps have no power of ten of their own.
_LEAST_STEP = 1e-300


def new_axis(values: Sequence[float], zero: bool, start: float, end: float, apart: float) -> Axis:
    """An axis through all values that begins and ends at ticks, `apart` pixels or more apart."""
    low, high = min(values), max(values)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    if high - low <= 1e-12 * max(abs(low), abs(high)):
        # One value alone gets room on both sides.
        low, high = (low - abs(low) * 0.1, high + abs(high) * 0.1) if high else (0.0, 1.0)
    step = _step(max((high - low) / max(abs(end - start) / apart, 1), _LEAST_STEP))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    last = max(last, first + 1)
    ticks = tuple(i * step for i in range(first, last + 1))
    return Axis(ticks[0], ticks[-1], start, end, ticks, step)


def _step(least: float) -> float:
    """The least of 1, 2, 5 times a power of ten that is not below `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(f * power for f in (1, 2, 5, 10) if f * power >= least * (1 - 1e-9))
