"""What one layer and the network lose with fewer groups of that layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alcs_onnx.types import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class LayerLevels:
    """One layer at several levels, from dense on.

    counts: groups that it keeps, falling, the first all of them.
    errors: relative squared error of its outputs.
    losses: what the network's outputs part by (`divergence`).
    ranks: how many of the levels keep each group, in the shape of a group mask. Among groups that
        as many keep those of larger norm in scaled columns have a little more.
    """

    counts: IntArray
    errors: tuple[float, ...]
    losses: tuple[float, ...]
    ranks: FloatArray

    def costs(self, kind: str) -> tuple[float, ...]:
        """By the "loss" of the network or by the "error" of the layer."""
        return {"loss": self.losses, "error": self.errors}[kind]

    def mask(self, count: int) -> BoolArray:
        """The `count` groups that stay longest, in the shape of `ranks`."""
        keep = np.zeros(self.ranks.size, dtype=bool)
        keep[np.argsort(-self.ranks.reshape(-1), kind="stable")[:count]] = True
        return keep.reshape(self.ranks.shape)
