"""Layer-wise ADMM: the weights of a set that change a layer's outputs least.

ALCS eq. 8 and 9 with the quadratic of `problem` in place of the network's loss: the W-step is
solved exactly, (W0 H + rho U - Z)(H + rho I)^-1, with one eigendecomposition for all rows and all
rho (ALPS, arXiv 2406.07831, section 3.1); rho rises while the support changes. What has been found
is then fitted by least squares on its support alone, by conjugate gradients (section 3.3).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from alcs_onnx.posttraining.problem import LayerProblem
from alcs_onnx.types import BoolArray, DoubleArray, FloatArray

#: Where the nearest weights of the set, [G, rows, columns], may be other than zero.
Support = Callable[[FloatArray], BoolArray]

#: Iterations of ADMM at most, and how many there are between two looks at the support.
_ITERATIONS, _LOOK = 120, 3
#: Iterations before it may end for a support that no longer changes.
_LEAST = 15
_FIRST_RHO = 0.01
#: Factors that rho rises by where more than so much of the support has changed.
_RISE = ((0.1, 1.15), (0.02, 1.1), (0.0, 1.05))
_CONJUGATE_STEPS = 40
#: Squared residual over that of the beginning at which conjugate gradients end.
_SOLVED = 1e-8


@dataclass(frozen=True, eq=False)
class Fitted:
    """Weights [G, rows, columns], their support, and the relative squared error of the outputs."""

    weights: DoubleArray
    support: BoolArray
    error: float


def fit(problem: LayerProblem, support_of: Support) -> Fitted:
    """The weights of a set that lose least of the wanted outputs, by ADMM from the dense weights.

    `support_of` projects weights in scaled columns.
    """
    values, vectors = problem.spectrum
    back, begun = vectors.swapaxes(1, 2), problem.dense
    support = support_of(begun)
    kept = max(1, int(support.sum()))
    u, z, rho = begun * support, np.zeros_like(begun), np.float32(_FIRST_RHO)
    for iteration in range(_ITERATIONS):
        w = ((problem.wanted + rho * u - z) @ vectors) / (values + rho) @ back
        before, support = support, support_of(w + z / rho)
        u = (w + z / rho) * support
        z = z + rho * (w - u)
        if iteration % _LOOK == _LOOK - 1:
            changed = np.count_nonzero(before != support) / kept
            if changed == 0 and iteration >= _LEAST:
                break
            rho *= np.float32(next(factor for least, factor in _RISE if changed >= least))
    return fit_on(problem, support, u)


def fit_on(problem: LayerProblem, support: BoolArray, start: FloatArray | None = None) -> Fitted:
    """Least squares on `support`; `start`, in scaled columns, is where it begins."""
    if support.all():
        values, vectors = problem.spectrum
        least = values + np.finfo(np.float32).eps
        x = (problem.wanted @ vectors / least) @ vectors.swapaxes(1, 2)
    else:
        x = _conjugate_gradients(
            problem, support, problem.dense * support if start is None else start
        )
    weights = problem.unscaled(x)
    return Fitted(weights, support, problem.error(weights))


def _conjugate_gradients(
    problem: LayerProblem, support: BoolArray, start: FloatArray
) -> FloatArray:
    """All rows at once: the normal equations of each, on its own support.

    A row that is solved goes no further: what is left of it is rounding, along which the quadratic
    may seem to fall without end.
    """
    h = problem.correlation
    x, tiny = start.copy(), np.finfo(np.float32).tiny
    r = (problem.wanted - x @ h) * support
    p, square = r.copy(), (r * r).sum(axis=2, keepdims=True)
    end = _SOLVED * ((problem.wanted * support) ** 2).sum(axis=2, keepdims=True)
    for _ in range(_CONJUGATE_STEPS):
        hp = (p @ h) * support
        curvature = (p * hp).sum(axis=2, keepdims=True)
        going = (square > end) & (curvature > tiny)
        if not going.any():
            break
        step = np.where(going, square / np.maximum(curvature, tiny), 0)
        x += step * p
        r -= step * hp
        before, square = square, (r * r).sum(axis=2, keepdims=True)
        p = r + square / np.maximum(before, tiny) * p
    return x
