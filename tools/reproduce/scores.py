"""Scores of detectors for `--judge`: whether two models find the same boxes.

    alcs-onnx optimize yolox.onnx --budget 50% --calibration photos --preprocess scale=1 \
      --judge scores:yolox -o out.onnx

Each is F1 of the boxes that the changed model finds on one picture against those of the dense one:
twice the pairs over the boxes of both, 1 where neither finds any. A pair is of one class, and its
boxes overlap by an IoU of 0.5 at least. Boxes are those of a confidence above 0.3, after
non-maximum suppression.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Outputs = Mapping[str, Array]

#: Least overlap of boxes that are the same.
SAME = 0.5
#: Overlap above which the less confident of two boxes of one model goes.
SUPPRESSED = 0.45
LEAST_CONFIDENCE = 0.3


@dataclass(frozen=True, eq=False)
class Boxes:
    """Boxes [N, 4] as (left, top, right, bottom), of falling confidence, and their classes [N]."""

    corners: Array
    classes: Array


def yolox(expected: Outputs, found: Outputs) -> float:
    """YOLOX: rows [cells, (x, y, w, h, objectness, classes...)] of strides 8, 16 and 32."""
    return _f1(_yolox, expected, found)


def yunet(expected: Outputs, found: Outputs) -> float:
    """YuNet: `cls_8`, `obj_8`, `bbox_8` [cells, ...] and so on, of square pictures."""
    return _f1(_yunet, expected, found)


def fastestdet(expected: Outputs, found: Outputs) -> float:
    """FastestDet: a map of (objectness, x, y, w, h, classes...)."""
    return _f1(_fastestdet, expected, found)


def _yolox(outputs: Outputs) -> Boxes:
    [output] = outputs.values()
    rows = output.reshape(-1, output.shape[-1])
    side = round(np.sqrt(len(rows) / 21))  # 4² + 2² + 1² cells for each cell of the coarsest map
    sides = (4 * side, 2 * side, side)
    cells = np.concatenate([_cells(n, n) for n in sides])
    strides = np.repeat([8, 16, 32], [n * n for n in sides])[:, None]
    confidence = rows[:, 4:5] * rows[:, 5:]
    return _best(
        (rows[:, :2] + cells) * strides, np.exp(rows[:, 2:4]) * strides,
        confidence.max(axis=1), confidence.argmax(axis=1),
    )  # fmt: skip


def _yunet(outputs: Outputs) -> Boxes:
    centres, sizes, confidences = [], [], []
    for stride in (8, 16, 32):
        box = outputs[f"bbox_{stride}"].reshape(-1, 4)
        side = round(np.sqrt(len(box)))
        centres.append((box[:, :2] + _cells(side, side)) * stride)
        sizes.append(np.exp(box[:, 2:]) * stride)
        product = outputs[f"cls_{stride}"] * outputs[f"obj_{stride}"]
        confidences.append(np.sqrt(product.clip(0)).reshape(-1))
    confidence = np.concatenate(confidences)
    classes = np.zeros(len(confidence), int)
    return _best(np.concatenate(centres), np.concatenate(sizes), confidence, classes)


def _fastestdet(outputs: Outputs) -> Boxes:
    [output] = outputs.values()
    channels, height, width = output.shape[-3:]
    rows = output.reshape(channels, -1).T
    extent = np.array([width, height])
    centres = (_cells(height, width) + np.tanh(rows[:, 1:3])) / extent
    confidence = rows[:, 0] ** 0.6 * rows[:, 5:].max(axis=1) ** 0.4
    sizes = 1 / (1 + np.exp(-rows[:, 3:5]))
    return _best(centres, sizes, confidence, rows[:, 5:].argmax(axis=1))


def _cells(height: int, width: int) -> Array:
    """(column, row) of the cells of a map, row by row."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([columns.reshape(-1), rows.reshape(-1)], axis=1)


def _best(centres: Array, sizes: Array, confidence: Array, classes: Array) -> Boxes:
    """The confident boxes that no more confident one of their class covers."""
    confident = np.flatnonzero(confidence > LEAST_CONFIDENCE)
    order = confident[np.argsort(-confidence[confident], kind="stable")]
    half = sizes[order] / 2
    corners = np.concatenate([centres[order] - half, centres[order] + half], axis=1)
    kept: list[int] = []
    for index in range(len(order)):
        others = [k for k in kept if classes[order[k]] == classes[order[index]]]
        if not others or _ious(corners[index], corners[others]).max() <= SUPPRESSED:
            kept.append(index)
    return Boxes(corners[kept], classes[order[kept]])


def _ious(box: Array, others: Array) -> Array:
    """Intersections over unions of one box with others [N, 4]."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    shared = (high - low).clip(0).prod(axis=1)
    areas = (others[:, 2:] - others[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod()
    return np.asarray(shared / (areas - shared).clip(1e-12))


def _f1(decode: Callable[[Outputs], Boxes], expected: Outputs, found: Outputs) -> float:
    wanted, seen = decode(expected), decode(found)
    total = len(wanted.classes) + len(seen.classes)
    if not total:
        return 1.0
    free = list(range(len(wanted.classes)))
    pairs = 0
    for box, kind in zip(seen.corners, seen.classes, strict=True):
        same = [index for index in free if wanted.classes[index] == kind]
        overlaps = _ious(box, wanted.corners[same])
        if same and overlaps.max() >= SAME:
            free.remove(same[int(overlaps.argmax())])
            pairs += 1
    return 2 * pairs / total
