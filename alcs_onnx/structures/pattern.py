"""N:M sparsity: the same number of weights in every run of adjacent input channels.

    n:4  {X : at most n nonzero of X[a, 4i:4i+4, d] for all a, i, d}

What hardware with sparse matrix units takes as 2:4 (Mishra et al., "Accelerating Sparse Deep
Neural Networks", arXiv 2104.08378): indices of two bits, and runs that cost the same everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alcs_onnx.structures.axes import CHANNELS, UNSTRUCTURED, AxisStructure
from alcs_onnx.types import DoubleArray, GroupMask


@dataclass(frozen=True)
class PatternStructure(AxisStructure):
    """Single weights, `run` adjacent input channels of a filter at one tap keeping as many each.

    A last run of fewer channels keeps as many as the others, where it has them.
    """

    run: int = 4
    same_share = True

    def strongest(self, energy: DoubleArray, count: int) -> GroupMask:
        """The n largest of each run, n the whole number for which that is nearest to `count`.

        n is 1 at least, unless `count` is 0.
        """
        n = min(max(round(self.run * count / energy.size), min(count, 1)), self.run)
        missing = -energy.shape[CHANNELS] % self.run
        along = np.moveaxis(energy, CHANNELS, -1)
        filled = np.pad(along, [(0, 0)] * (along.ndim - 1) + [(0, missing)], constant_values=-1)
        runs = filled.reshape(*along.shape[:-1], -1, self.run)
        order = np.argsort(-runs, axis=-1, kind="stable")
        keep = np.zeros(runs.shape, dtype=bool)
        np.put_along_axis(keep, order[..., :n], True, axis=-1)
        whole = keep.reshape(filled.shape)[..., : along.shape[-1]]
        return np.moveaxis(whole, -1, CHANNELS)


N_OF_4 = PatternStructure("n:4", UNSTRUCTURED.axes)
