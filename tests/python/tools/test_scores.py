"""Scores of detectors: boxes are decoded where they are, and paired by overlap and class."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

FOLDER = Path(__file__).parents[3] / "tools" / "reproduce"


@pytest.fixture(scope="module")
def scores() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        yield import_module("scores")
        sys.modules.pop("scores")


def yolox(*boxes: tuple[int, float, float, float, int]) -> dict[str, np.ndarray]:
    """Outputs for pictures of 416²: (cell, width, height, confidence, class) of two classes."""
    rows = np.zeros((1, 3549, 7), np.float32)
    for cell, width, height, confidence, kind in boxes:
        rows[0, cell, 2:4] = np.log([width / 8, height / 8])
        rows[0, cell, 4], rows[0, cell, 5 + kind] = confidence, 1
    return {"output": rows}


def yunet(cell: int, width: float, confidence: float) -> dict[str, np.ndarray]:
    """Outputs for pictures of 64²: one face of the coarsest maps."""
    found: dict[str, np.ndarray] = {}
    for stride in (8, 16, 32):
        cells = (64 // stride) ** 2
        found |= {f"{n}_{stride}": np.zeros((1, cells, 1), np.float32) for n in ("cls", "obj")}
        found[f"bbox_{stride}"] = np.zeros((1, cells, 4), np.float32)
    found["cls_32"][0, cell], found["obj_32"][0, cell] = confidence, confidence
    found["bbox_32"][0, cell] = [0.5, 0.5, np.log(width / 32), np.log(width / 32)]
    return found


def fastestdet(row: int, column: int, width: float, kind: int) -> dict[str, np.ndarray]:
    """Outputs of 4 x 4 cells: one object of relative width and height, and three classes."""
    output = np.zeros((1, 8, 4, 4), np.float32)
    output[0, 3:5] = np.log(width / (1 - width))
    output[0, 0, row, column] = 0.9
    output[0, 5 + kind, row, column] = 0.8
    return {"758": output}


def test_boxes_are_where_they_are(scores: ModuleType) -> None:
    """A cell of the second row and third column, in the units of each."""
    found = scores._yolox(yolox((52 + 2, 16, 8, 0.9, 1)))
    np.testing.assert_allclose(found.corners, [[16 - 8, 8 - 4, 16 + 8, 8 + 4]], rtol=1e-5)
    assert found.classes.tolist() == [1]
    coarse = scores._yolox(yolox((52 * 52 + 26 * 26 + 13 + 2, 16, 16, 0.9, 0)))
    np.testing.assert_allclose(coarse.corners, [[64 - 32, 32 - 32, 64 + 32, 32 + 32]], rtol=1e-5)
    face = scores._yunet(yunet(1, 20.0, 0.9))
    np.testing.assert_allclose(face.corners, [[48 - 10, 16 - 10, 48 + 10, 16 + 10]], rtol=1e-5)
    thing = scores._fastestdet(fastestdet(1, 2, 0.25, 2))
    np.testing.assert_allclose(thing.corners, [[0.375, 0.125, 0.625, 0.375]], rtol=1e-5)
    assert thing.classes.tolist() == [2]


def test_what_is_the_same_scores_1(scores: ModuleType) -> None:
    pairs = [
        (scores.yolox, yolox((60, 40, 40, 0.9, 0), (900, 40, 40, 0.8, 1))),
        (scores.yunet, yunet(2, 20.0, 0.8)),
        (scores.fastestdet, fastestdet(0, 0, 0.5, 1)),
    ]
    for score, outputs in pairs:
        assert score(outputs, outputs) == 1


def test_pairs_over_all_boxes(scores: ModuleType) -> None:
    dense = yolox((60, 40, 40, 0.9, 0), (900, 40, 40, 0.8, 1))
    assert scores.yolox(dense, yolox((60, 40, 40, 0.5, 0))) == pytest.approx(2 / 3)  # one missed
    assert scores.yolox(yolox((60, 40, 40, 0.5, 0)), dense) == pytest.approx(2 / 3)  # one too many
    moved = yolox((61, 40, 40, 0.9, 0), (900, 40, 40, 0.8, 1))
    assert scores.yolox(dense, moved) == 1  # by 8 of 40 pixels: an overlap of 2/3
    assert scores.yolox(dense, yolox((63, 40, 40, 0.9, 0))) == 0  # by 24: of 1/4
    assert scores.yolox(dense, yolox((60, 40, 40, 0.9, 1))) == 0  # another class


def test_no_boxes(scores: ModuleType) -> None:
    assert scores.yunet(yunet(0, 20.0, 0.1), yunet(3, 20.0, 0.2)) == 1
    assert scores.yunet(yunet(0, 20.0, 0.1), yunet(3, 20.0, 0.8)) == 0


def test_of_boxes_that_cover_each_other_the_most_confident_stays(scores: ModuleType) -> None:
    found = scores._yolox(
        yolox((60, 40, 40, 0.6, 0), (61, 40, 40, 0.9, 0), (60 + 52, 40, 40, 0.7, 1))
    )
    assert found.classes.tolist() == [0, 1]
    assert found.corners[0, 0] == pytest.approx(9 * 8 - 20)
