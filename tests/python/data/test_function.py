"""Loaders of the user's own: what they may give, how they repeat, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from classifiers import classifier

from alcs_onnx.data import load_data
from alcs_onnx.errors import DataError
from alcs_onnx.graph import Model

MODULE = """
import random
import numpy as np
X = np.random.default_rng(0).standard_normal((12, 3, 8, 8)).astype("float32")
Y = np.arange(12) % 4
class Shuffled:
    def __init__(self, draw): self.draw = draw
    def __len__(self): return 3
    def __iter__(self):
        order = self.draw()
        for i in range(0, 12, 4): yield X[order[i:i + 4]], Y[order[i:i + 4]]
class Broken(list):
    def __iter__(self):
        yield X, Y
        raise RuntimeError("disk is gone")
def by_numpy(): return Shuffled(lambda: np.random.permutation(12)), [(X[:4], Y[:4])]
def by_python(): return Shuffled(lambda: random.sample(range(12), 12)), None
def unlabelled(): return [X[:4], X[4:]], [(X[:4], None)]
def named(): return [({"x": X[:4]}, Y[:4])], None
def lists(): return [(X[:2].tolist(), [0, 1])], None
def doubles(): return [X.astype("float64")], None
def crash(): raise RuntimeError("no disk")
def nothing(): return [], []
def single(): return iter([(X, Y)]), None
def number(): return 3
def wrong_shape(): return [(X[:, :2], Y)], None
def nan():
    bad = X.copy()
    bad[5, 0, 0, 0] = np.inf
    return [(bad, Y)], None
def bad_key(): return {"training": [X]}
def missing_input(): return [({"z": X}, Y)], None
def words(): return [object()], None
def uneven(): return [{"x": [[1.0], [1.0, 2.0]]}], None
def breaks(): return Broken(), None
def half_labelled(): return [(X, Y), X], None
"""


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return classifier(tmp_path)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"user_data_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return name


@pytest.mark.parametrize("function", ["by_numpy", "by_python"])
def test_a_shuffling_loader_repeats_itself(function: str, module: str, model: Model) -> None:
    data = load_data(f"{module}:{function}", model)
    first, again, other = (
        np.concatenate([b.targets for b in data.train.batches(1, training=True, seed=s)])
        for s in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert data.train.batch_count(1, training=True) == 3


def test_batches_without_targets(module: str, model: Model) -> None:
    data = load_data(f"{module}:unlabelled", model)
    assert not data.train.labelled
    assert data.test is not None
    assert not data.test.labelled
    assert [b.size for b in data.train.batches(1, training=False)] == [4, 8]


@pytest.mark.parametrize(("function", "size"), [("named", 4), ("lists", 2), ("doubles", 12)])
def test_inputs_are_float32_arrays(function: str, size: int, module: str, model: Model) -> None:
    (batch,) = load_data(f"{module}:{function}", model).train.batches(1, training=True)
    assert batch.size == size
    assert batch.inputs[0].shape == (size, 3, 8, 8)
    assert batch.inputs[0].dtype == np.float32


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("crash", "failed: RuntimeError: no disk"),
        ("absent", "failed: AttributeError"),
        ("nothing", "train has no batches"),
        ("single", "can be read only once"),
        ("number", r"must return \(train, test\)"),
        ("bad_key", "unknown key 'training', expected train, test, loss, metric"),
        (
            "wrong_shape",
            r"train, batch 0: expected input 'x' \[N, 3, 8, 8\], found \[12, 2, 8, 8\]",
        ),
        ("nan", "train, batch 0: sample 5 of input 'x' contains NaN or infinity"),
        ("missing_input", "no value for model input 'x'"),
        ("words", "train, batch 0: input 'x': object is no array of numbers"),
        ("uneven", "train, batch 0: input 'x': .*inhomogeneous"),
        ("breaks", "train failed: RuntimeError: disk is gone"),
        ("half_labelled", "train, batch 1: no targets, which the first batch has"),
    ],
)
def test_refusals(function: str, message: str, module: str, model: Model) -> None:
    def use() -> None:
        list(load_data(f"{module}:{function}", model).train.batches(1, training=True))

    with pytest.raises(DataError, match=message):
        use()


def test_module_that_is_missing(model: Model) -> None:
    with pytest.raises(DataError, match="ModuleNotFoundError"):
        load_data("no_such_module_here:f", model)
