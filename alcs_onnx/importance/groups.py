"""Importance of groups of weights: larger is kept first.

A score maps the weights of the groups, [.., members], to one number for each group, [..] float32,
finite and never negative. The solvers that weigh layers against each other take its square for
the energy that a group has: the squared error of removing it is exactly that under "l2". Under
another score they maximise the kept squares of that score instead, which is a proxy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from alcs_onnx.types import FloatArray

#: [.., members] -> [..]: one score per group, float32.
Score = Callable[[npt.NDArray[Any]], FloatArray]


def l2(grouped: npt.NDArray[Any]) -> FloatArray:
    """L2 norm of each group (ALCS Algorithm 1, line 2).

    Sums in float32: a group has few members, and the norms are only compared.
    """
    return np.asarray(np.sqrt(np.einsum("...g,...g->...", grouped, grouped)), dtype=np.float32)


def l1(grouped: npt.NDArray[Any]) -> FloatArray:
    """L1 norm of each group: the sum of its magnitudes.

    Between groups of one size it prefers many weights of middling size to few large ones. Its
    square is not the error of removing the group (it is up to `members` times that), so solvers
    that maximise the kept energy maximise a proxy. In layers whose groups have more members it
    counts for more than the L2 norm does.
    """
    return np.asarray(np.abs(grouped).sum(axis=-1), dtype=np.float32)
