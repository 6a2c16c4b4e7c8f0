"""Samples as feeds of the runtime: batches that a model takes, and targets beside them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from classifiers import save
from onnx import helper

from alcs_onnx import ort
from alcs_onnx.data import Batch, runtime_batches
from alcs_onnx.graph import Model, load_model, loadable


@dataclass
class Given:
    """Batches as a loader of the user's cuts them."""

    parts: list[Batch]
    labelled: bool = True

    def batch_count(self, batch_size: int, *, training: bool) -> int | None:
        return None

    def batches(self, batch_size: int, *, training: bool, seed: int = 0) -> Iterator[Batch]:
        yield from self.parts


def scaled(folder: Path, batch: int | str) -> Model:
    """y = x · scale, with a scalar that is the same for all samples."""
    nodes = [
        helper.make_node("Conv", ["x", "one"], ["c"]),
        helper.make_node("Mul", ["c", "scale"], ["y"]),
    ]
    inputs = {"scale": (), "x": (batch, 1, 3)}
    one = np.ones((1, 1, 1), np.float32)
    return load_model(save(folder / "m.onnx", nodes, inputs, ["y"], {"one": one}))


X = np.arange(21, dtype=np.float64).reshape(7, 1, 3)
SCALE = np.array(2.0)


@pytest.mark.parametrize(("batch", "sizes"), [("N", [7]), (3, [3, 3, 1]), (1, [1] * 7)])
def test_batches_are_those_that_the_model_takes(
    batch: int | str, sizes: list[int], tmp_path: Path
) -> None:
    model = scaled(tmp_path, batch)
    found = list(runtime_batches(model, Given([Batch((SCALE, X), 7, np.arange(7))])))
    assert [b.size for b in found] == sizes
    session = ort.create_session(loadable(model))
    outputs = [b.without_padding(session.run(b.feeds)[0]) for b in found]
    np.testing.assert_array_equal(np.concatenate(outputs), 2 * X)
    assert np.concatenate([b.targets for b in found]).tolist() == list(range(7))


def test_what_lacks_in_a_fixed_batch_is_its_last_sample(tmp_path: Path) -> None:
    *_, last = runtime_batches(scaled(tmp_path, 3), Given([Batch((SCALE, X), 7)]))
    np.testing.assert_array_equal(last.feeds["x"], X[[6, 6, 6]].astype(np.float32))
    assert last.feeds["x"].dtype == np.float32
    assert last.feeds["scale"].shape == ()
    assert list(last.singles(dynamic_batch=False)) == [last.feeds]


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        (list(range(7)), list(range(7))),
        (None, None),
        ({"boxes": [1] * 7}, None),
        ([[1], [1, 2], *[[3]] * 5], None),
        (np.array(3), None),
        (np.arange(5), None),
    ],
)
def test_targets_have_a_row_for_each_sample(targets: Any, expected: Any, tmp_path: Path) -> None:
    (batch,) = runtime_batches(scaled(tmp_path, "N"), Given([Batch((SCALE, X), 7, targets)]))
    assert (None if batch.targets is None else batch.targets.tolist()) == expected


def test_targets_that_are_tensors(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    given = Given([Batch((SCALE, X), 7, torch.arange(7.0).requires_grad_())])
    (batch,) = runtime_batches(scaled(tmp_path, "N"), given)
    assert isinstance(batch.targets, np.ndarray)
    assert batch.targets.tolist() == list(range(7))
