"""Top-1 classes of two models on the same samples."""

from __future__ import annotations

from math import comb
from typing import Any

import numpy as np
import numpy.typing as npt

from alcs_onnx.fidelity import class_scores
from alcs_onnx.pipeline.compare.result import Agreement
from alcs_onnx.types import IntArray

Array = npt.NDArray[Any]


class TopOne:
    """Counts how far two classifiers agree, and where labels are given, with the truth."""

    def __init__(self, labelled: bool) -> None:
        self.notes: list[str] = []
        self._labelled = labelled
        self._rows: list[tuple[IntArray, IntArray, IntArray]] = []

    def add(self, scores_a: Array, scores_b: Array, targets: Array | None) -> None:
        """Take in the scores [N, classes] of both; anything but such scores is not counted."""
        first, second = class_scores(scores_a), class_scores(scores_b)
        if first is None or second is None:
            return
        a, b = first.argmax(axis=1), second.argmax(axis=1)
        truth = np.full(len(a), -1)
        if self._labelled and targets is not None:
            if targets.dtype.kind in "iu" and targets.size == len(a):
                truth = targets.reshape(-1)
            else:
                self._labelled = False
                self.notes.append(
                    f"targets of shape {list(targets.shape)} and type {targets.dtype} are no "
                    "class numbers: no accuracy is counted"
                )
        self._rows.append((a, b, truth.astype(np.int64)))

    def result(self) -> Agreement | None:
        """The counts; None where nothing was a score per class."""
        if not self._rows:
            return None
        a, b, truth = (np.concatenate(column) for column in zip(*self._rows, strict=True))
        agreement = 100 * float((a == b).mean())
        if not self._labelled:
            return Agreement(agreement)
        right_a, right_b = a == truth, b == truth
        only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
        return Agreement(
            agreement,
            accuracy_a=100 * float(right_a.mean()),
            accuracy_b=100 * float(right_b.mean()),
            both_right=int((right_a & right_b).sum()),
            only_a=only_a,
            only_b=only_b,
            neither=int((~right_a & ~right_b).sum()),
            chance=_mcnemar(only_a, only_b),
        )


def _mcnemar(only_a: int, only_b: int) -> float | None:
    """Two-sided exact probability of a split as uneven, if either side were as likely."""
    total = only_a + only_b
    if total == 0:
        return None
    tail = sum(comb(total, k) for k in range(min(only_a, only_b) + 1))
    return min(1.0, float(2 * tail / 2**total))
