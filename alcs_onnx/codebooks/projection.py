"""Quantization levels and the Euclidean projections onto them (ADMM-NN-S section 4.1).

A layer's weights may take the values q * level for the integer levels of a `Codebook`; the
distance q is the `scale`, of the whole layer or of each output channel. Given q, the projection
maps every weight to the nearest level (section 4.2). q itself is part of the set: `fit_scale`
finds the one with the least squared error, so that `quantize` is the projection onto all weights
that any q allows: exactly for layers of up to 8 million weights times levels, from a sample of
larger ones (8 bits, more than 66,000 weights), refined until q and levels agree.

The error of q is what nearest levels leave. With |levels| a (rising), a weight |w| takes a_j
while |w| / q lies between the midpoints around a_j. So the assignment changes only at
q = |w| / midpoint; between two such q it is constant, and the best q for it is
A / B with A = sum a |w|, B = sum a^2, at an error of sum w^2 - A^2 / B. Walking once over the
sorted breakpoints with running A and B finds the largest A^2 / B. (Whatever assignment has it,
no other q can do better: the assignment of an optimal q is among those walked over.)
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from alcs_onnx.errors import AlcsError
from alcs_onnx.types import Codebook, FloatArray, QuantizedWeight, WeightMask

#: Breakpoints up to this many are all looked at; beyond, q starts from a sample and is refined.
_EXACT = 1 << 23
_REFINEMENTS = 20


def fit_scale(weights: npt.NDArray[np.floating], levels: Codebook) -> float:
    """The distance q > 0 of least squared error for a vector of weights; 1 if all are 0."""
    magnitudes = np.abs(np.asarray(weights, dtype=np.float64)).reshape(-1)
    magnitudes = magnitudes[magnitudes > 0]
    if magnitudes.size == 0:
        return 1.0
    heights = np.unique(np.abs(levels.levels)).astype(np.float64)
    if magnitudes.size * (heights.size - 1) <= _EXACT:
        return _exact_scale(magnitudes, heights)
    every = -(-magnitudes.size * (heights.size - 1) // _EXACT)
    sample = np.sort(magnitudes)[::-every]
    return _refined(_exact_scale(sample, heights), magnitudes, heights)


def _exact_scale(magnitudes: npt.NDArray[np.float64], heights: npt.NDArray[np.float64]) -> float:
    middles = (heights[1:] + heights[:-1]) / 2
    rise, squares = np.diff(heights), np.diff(heights**2)
    # From large q, where all weights take the lowest height, down: at each breakpoint one
    # weight moves up by one height.
    points = (magnitudes[:, None] / middles).reshape(-1)
    order = np.argsort(-points, kind="stable")
    dot = heights[0] * magnitudes.sum() + np.cumsum((magnitudes[:, None] * rise).reshape(-1)[order])
    power = heights[0] ** 2 * magnitudes.size + np.cumsum(
        np.broadcast_to(squares, (magnitudes.size, squares.size)).reshape(-1)[order]
    )
    dot = np.concatenate([[heights[0] * magnitudes.sum()], dot])
    power = np.concatenate([[heights[0] ** 2 * magnitudes.size], power])
    explained = np.divide(dot**2, power, out=np.zeros_like(dot), where=power > 0)
    best = int(np.argmax(explained))
    return float(dot[best] / power[best])


def _refined(
    scale: float, magnitudes: npt.NDArray[np.float64], heights: npt.NDArray[np.float64]
) -> float:
    """Nearest levels for the scale and the best scale for these levels, in turns (Lloyd)."""
    middles = (heights[1:] + heights[:-1]) / 2
    for _ in range(_REFINEMENTS):
        taken = heights[np.searchsorted(middles, magnitudes / scale)]
        power = float(taken @ taken)
        if power == 0:
            break
        found = float(taken @ magnitudes) / power
        if abs(found - scale) <= 1e-9 * scale:
            break
        scale = found
    return scale


def nearest_levels(weight: FloatArray, scale: FloatArray, levels: Codebook) -> npt.NDArray[np.int8]:
    """Every weight's nearest level for given scales [1] or [M]; of two equally near the lower.

    The projection of ADMM-NN-S section 4.2 for quantization.
    """
    spread = scale.astype(np.float64).reshape(-1, *(1 for _ in weight.shape[1:]))
    codes = np.ceil((weight / spread - levels.first) / levels.step - 0.5)
    codes = np.clip(codes, 0, levels.count - 1)
    return np.asarray(levels.first + levels.step * codes, dtype=np.int8)


def quantize(
    weight: FloatArray,
    levels: Codebook,
    *,
    keep: WeightMask | None = None,
    per_channel: bool = False,
    scale: FloatArray | None = None,
) -> QuantizedWeight:
    """The Euclidean projection of `weight` [M, ...] onto the weights with these levels.

    With `keep` (of the weight's shape) weights where it is False are 0 and take no part: zeros
    stay zeros after pruning. `scale` fixes the distances instead of fitting them. Raises
    `AlcsError` for weights that are not finite.
    """
    if not np.isfinite(weight).all():
        raise AlcsError("weights that are not finite numbers cannot be quantized")
    mask = np.ones(weight.shape, dtype=bool) if keep is None else keep
    if scale is None:
        parts = list(zip(weight, mask, strict=True)) if per_channel else [(weight, mask)]
        fitted = [fit_scale(values[where], levels) for values, where in parts]
        scale = np.array(fitted, dtype=np.float32)
    found = np.where(mask, nearest_levels(weight, scale, levels), np.int8(0))
    return QuantizedWeight(found, scale, levels)
