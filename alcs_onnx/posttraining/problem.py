"""What a layer's outputs lose, as a quadratic of its weights.

For a layer with inputs X (columns of unfolded activations) and dense weights W0 the squared error
of its outputs is tr((W - W0) H (W - W0)^T) with H = X X^T; towards other outputs Y it is
tr(W H W^T) - 2 tr(W T^T) + tr(Y Y^T) with T = Y X^T. Columns are scaled by sqrt(diag H), which
makes H a correlation and the magnitudes of weights comparable (ALPS, arXiv 2406.07831, section 3).

A convolution of G conv groups is G such problems side by side: all arrays begin with that axis.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from alcs_onnx.types import BoolArray, DoubleArray, FloatArray

#: What is added to the diagonal of H, of its mean, where nothing else is said: pulls weights that
#: the inputs say little about, or nothing, towards the dense ones.
DAMPING = 1e-2


@dataclass(frozen=True, eq=False)
class LayerProblem:
    """min tr((W - W0) H (W - W0)^T), or towards other outputs than those of W0.

    weights: W0 [G, rows, columns].
    moments: H [G, columns, columns].
    target: T [G, rows, columns]; None: W0 H.
    energy: the squares of Y by row [G, rows], what errors are relative to; None: those of W0's
        outputs.
    damping: see `DAMPING`.
    """

    weights: DoubleArray
    moments: DoubleArray
    target: DoubleArray | None = None
    energy: DoubleArray | None = None
    damping: float = DAMPING

    @property
    def size(self) -> float:
        """Multiply-adds of W H."""
        return float(self.weights.size * self.weights.shape[2])

    def has_silent_columns(self, read: BoolArray) -> bool:
        """Whether one of the columns `read` [G, columns] is zero, or the same, in all inputs."""
        return bool(((self._diagonal <= 0) & read).any())

    @cached_property
    def ridge(self) -> DoubleArray:
        """What is added to the diagonal of H, [G, 1]."""
        mean = self._diagonal.mean(axis=1, keepdims=True)
        return np.asarray(self.damping * np.where(mean > 0, mean, 1.0))

    @cached_property
    def scale(self) -> DoubleArray:
        """sqrt(diag H) of the damped moments, [G, 1, columns]."""
        return np.asarray(np.sqrt(self._diagonal + self.ridge)[:, None, :])

    @cached_property
    def correlation(self) -> FloatArray:
        """The damped moments with a diagonal of ones."""
        scaled = self.moments / self.scale / self.scale.swapaxes(1, 2)
        columns = scaled.shape[1]
        scaled[:, range(columns), range(columns)] = 1.0
        return scaled.astype(np.float32)

    @cached_property
    def dense(self) -> FloatArray:
        """W0 in scaled columns."""
        return np.asarray(self.weights * self.scale, np.float32)

    @cached_property
    def wanted(self) -> FloatArray:
        """W0 H or T, with the pull towards W0, in scaled columns."""
        if self.target is None:
            return self.dense @ self.correlation
        pulled = self.target + self.ridge[:, :, None] * self.weights
        return np.asarray(pulled / self.scale, np.float32)

    @cached_property
    def spectrum(self) -> tuple[FloatArray, FloatArray]:
        """Eigenvalues [G, 1, columns] and eigenvectors of the correlation, for all rows."""
        values, vectors = np.linalg.eigh(self.correlation)
        return np.maximum(values, 0)[:, None, :], vectors

    def unscaled(self, scaled: FloatArray) -> DoubleArray:
        """Weights of weights in scaled columns."""
        return np.asarray(scaled / self.scale)

    def error(self, weights: DoubleArray, rows: BoolArray | None = None) -> float:
        """Squared error of the outputs of `weights` over the energy of those that are wanted.

        Of `rows` [G, rows] alone, where they are given.
        """
        target = self.target if self.target is not None else self.weights @ self.moments
        energies = self.energy
        if energies is None:
            energies = (self.weights @ self.moments * self.weights).sum(axis=2)
        made = (weights @ self.moments - 2 * target) * weights
        counted = np.ones(energies.shape, bool) if rows is None else rows
        energy = float(energies[counted].sum())
        lost = float(made.sum(axis=2)[counted].sum()) + energy
        return max(0.0, lost) / energy if energy > 0 else 0.0

    @property
    def _diagonal(self) -> DoubleArray:
        # About means rounding may leave less than nothing of a channel that does not change.
        return np.maximum(np.diagonal(self.moments, axis1=1, axis2=2), 0)
