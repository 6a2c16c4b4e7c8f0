"""Importance of groups of weights: larger is kept first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from alcs_onnx.errors import AlcsError
from alcs_onnx.structures import Structure
from alcs_onnx.types import ConvLayer, FloatArray

#: [.., members] -> [..]: one score per group, float32.
Score = Callable[[npt.NDArray[Any]], FloatArray]


def l2(grouped: npt.NDArray[Any]) -> FloatArray:
    """L2 norm of each group (ALCS Algorithm 1, line 2).

    Sums in float32: a group has few members, and the norms are only compared.
    """
    return np.asarray(np.sqrt(np.einsum("...g,...g->...", grouped, grouped)), dtype=np.float32)


#: name -> score. THE registration of importance scores.
SCORES: dict[str, Score] = {"l2": l2}


def scores(
    weights: Mapping[str, FloatArray],
    layers: Mapping[str, ConvLayer],
    structure: Structure,
    score: str = "l2",
) -> dict[str, FloatArray]:
    """The score of every group of every layer, in the shape of the structure's keep mask.

    `weights` and `layers` are keyed by layer name. Raises `AlcsError` for an unknown score.
    """
    if score not in SCORES:
        raise AlcsError(f"score '{score}' is not known: use {', '.join(sorted(SCORES))}")
    return {
        name: SCORES[score](structure.grouped(weight, layers[name]))
        for name, weight in weights.items()
    }
