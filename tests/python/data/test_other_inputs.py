"""Inputs beside the images: given by the user, or by a loader."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from classifiers import patterns, save
from data_files import write_npz
from onnx import helper
from PIL import Image

from alcs_onnx.data import DataOptions, load_data
from alcs_onnx.errors import DataError
from alcs_onnx.graph import Model, load_model


@pytest.fixture
def thresholded(tmp_path: Path) -> Model:
    """An image of an open batch, a scalar, and a row for each sample."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"]),
        helper.make_node("Add", ["a", "threshold"], ["b"]),
        helper.make_node("Flatten", ["b"], ["f"]),
        helper.make_node("Concat", ["f", "side"], ["y"], axis=1),
    ]
    weights = {"w": np.ones((1, 3, 8, 8), np.float32)}
    inputs = {"threshold": (), "x": ("N", 3, 8, 8), "side": ("N", 2)}
    return load_model(save(tmp_path / "m.onnx", nodes, inputs, ["y"], weights))


GIVEN = {"threshold": np.array(0.5, np.float32), "side": np.array([[1, 2]], np.float32)}


@pytest.mark.parametrize("kind", ["npz", "folder"])
def test_given_inputs_are_repeated_for_every_batch(
    kind: str, thresholded: Model, tmp_path: Path
) -> None:
    if kind == "npz":
        spec = write_npz(tmp_path, x_train=patterns(10)["x"], x_test=patterns(6)["x"])
    else:
        spec = str(tmp_path / "images")
        (tmp_path / "images").mkdir()
        for index in range(10):
            Image.new("RGB", (8, 8)).save(tmp_path / "images" / f"{index}.png")
    data = load_data(spec, thresholded, DataOptions(values=GIVEN))
    for batch in data.train.batches(4, training=True):
        threshold, images, side = batch.inputs
        assert threshold.shape == ()
        assert float(threshold) == 0.5
        assert images.shape == (batch.size, 3, 8, 8)
        assert side.tolist() == [[1, 2]] * batch.size


def test_an_input_without_values_is_named(thresholded: Model, tmp_path: Path) -> None:
    spec = write_npz(tmp_path, x_train=patterns(4)["x"])
    with pytest.raises(DataError, match=r"'side'.*--input-values side:1, or .*module:function"):
        load_data(spec, thresholded, DataOptions(values={"threshold": GIVEN["threshold"]}))


GIVING = """
import numpy as np
ALL = {"x": np.zeros((3, 3, 8, 8), "float32"), "threshold": 2.0, "side": np.ones((3, 2), "float32")}
def some(*names): return ([{name: ALL[name] for name in names}],)
def everything(): return some(*ALL)
def no_side(): return some("x", "threshold")
def images(): return ([ALL["x"]],)
def unequal(): return ([{**ALL, "side": np.ones((2, 2))}],)
def misshapen(): return ([{**ALL, "threshold": np.ones(3)}],)
"""


@pytest.fixture
def giving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "giving.py").write_text(GIVING)
    monkeypatch.syspath_prepend(tmp_path)
    return "giving"


@pytest.mark.parametrize(
    ("function", "left_out", "threshold"),
    [("everything", [], 2.0), ("no_side", ["side"], 2.0), ("images", ["side", "threshold"], 0.5)],
)
def test_a_loader_may_leave_out_what_is_given(
    function: str, left_out: list[str], threshold: float, giving: str, thresholded: Model
) -> None:
    options = DataOptions(values={name: GIVEN[name] for name in left_out})
    data = load_data(f"{giving}:{function}", thresholded, options)
    (batch,) = data.train.batches(8, training=True)
    assert batch.size == 3
    assert [tuple(x.shape) for x in batch.inputs] == [(), (3, 3, 8, 8), (3, 2)]
    assert float(batch.inputs[0]) == threshold
    assert batch.inputs[2].tolist() == ([[1, 2]] if "side" in left_out else [[1, 1]]) * 3


@pytest.mark.parametrize(
    ("function", "message"),
    [("unequal", "different numbers of samples: 3 of input 'x', 2 of input 'side'"),
     ("misshapen", r"expected input 'threshold' \[\], found \[3\]"),
     ("no_side", "no value for model input 'side'"),
     ("images", "the model has 3 inputs, found 1")],
)  # fmt: skip
def test_what_a_loader_gives_has_to_fit(
    function: str, message: str, giving: str, thresholded: Model
) -> None:
    data = load_data(f"{giving}:{function}", thresholded)
    with pytest.raises(DataError, match=message):
        list(data.train.batches(8, training=True))
