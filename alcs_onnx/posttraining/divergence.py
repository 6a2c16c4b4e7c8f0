"""How far a network's outputs part from the dense one's, as a number that layers add up in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from alcs_onnx.fidelity import class_scores
from alcs_onnx.posttraining.tensors import Array
from alcs_onnx.types import DoubleArray

_SMALLEST = 1e-12


def divergence(expected: Sequence[Array], found: Sequence[Array]) -> float:
    """Of the outputs `found` from those `expected`, for some samples.

    The Kullback-Leibler divergence of the classes, in nats a sample, where the one output is scores
    or probabilities of classes; else the mean over outputs of the squared relative error.
    """
    if len(expected) == 1:
        scores, others = class_scores(expected[0]), class_scores(found[0])
        if scores is not None and others is not None:
            p, q = _log_probabilities(scores), _log_probabilities(others)
            # Never below zero but for rounding.
            return max(0.0, float(np.mean(np.sum(np.exp(p) * (p - q), axis=1))))
    errors = [_relative(x, y) for x, y in zip(expected, found, strict=True) if x.dtype.kind == "f"]
    return float(np.mean(errors)) if errors else 0.0


def _log_probabilities(scores: Array) -> DoubleArray:
    values = scores.astype(np.float64)
    sums = values.sum(axis=1)
    if values.min() >= 0 and np.abs(sums - 1).max() < 1e-3:
        # Sums that are off by rounding would pass for a divergence, or for less than none.
        return np.asarray(np.log(np.maximum(values / sums[:, None], _SMALLEST)))
    values = values - values.max(axis=1, keepdims=True)
    return np.asarray(values - np.log(np.exp(values).sum(axis=1, keepdims=True)))


def _relative(expected: Array, found: Array) -> float:
    if expected.shape != found.shape:
        return 1.0
    x, y = expected.astype(np.float64), found.astype(np.float64)
    energy = float(np.sum(x * x))
    return float(np.sum((x - y) ** 2)) / energy if energy > 0 else 0.0
