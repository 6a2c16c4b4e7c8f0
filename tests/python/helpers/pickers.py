"""Classifiers that give the brightest channel of a picture, and pictures for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from classifiers import save
from onnx import helper

#: Scores are the channels' means, as they are and with the first two channels exchanged.
SAME = np.eye(3)
EXCHANGED = np.eye(3)[[1, 0, 2]]


def picker(
    path: Path,
    scores: np.ndarray = SAME,
    *,
    batch: int | str = "N",
    final: str | None = None,
    others: Mapping[str, Sequence[int | str]] | None = None,
) -> Path:
    """x [batch, 3, 4, 4] -> y [batch, classes] = `scores` · (means of the channels), `final` of it.

    `others` are inputs in front of it by their shapes, whose sums are added to all scores.
    """
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="scores"),
        helper.make_node("GlobalAveragePool", ["c"], ["p"], name="means"),
        helper.make_node("Flatten", ["p"], ["y0"], name="flat"),
    ]
    for number, name in enumerate(others or {}):
        nodes += [
            helper.make_node("ReduceSum", [name], [f"{name}.sum"], keepdims=0),
            helper.make_node("Add", [f"y{number}", f"{name}.sum"], [f"y{number + 1}"]),
        ]
    last = f"y{len(others or {})}"
    nodes.append(helper.make_node(final or "Identity", [last], ["y"], name="last"))
    weights = {"w": np.asarray(scores, np.float32)[:, :, None, None]}
    return save(path, nodes, {**(others or {}), "x": (batch, 3, 4, 4)}, ["y"], weights)


def pictures(classes: Sequence[int]) -> np.ndarray:
    """uint8 [N, 3, 4, 4], of noise: the channel of the class is the brightest."""
    rng = np.random.default_rng(len(classes))
    pixels = rng.integers(0, 100, (len(classes), 3, 4, 4))
    pixels[np.arange(len(classes)), classes] += 120
    return pixels.astype(np.uint8)
