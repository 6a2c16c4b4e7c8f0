"""Arrays in .npz files as data: layouts, the split by the seed, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from classifiers import classifier, patterns, save
from data_files import everything, write_npz
from onnx import helper

from alcs_onnx.data import DataOptions, load_data
from alcs_onnx.data.split import held_out
from alcs_onnx.errors import DataError
from alcs_onnx.graph import Model, load_model


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return classifier(tmp_path)


def test_npz_with_split(model: Model, tmp_path: Path) -> None:
    train, test = patterns(10), patterns(6, seed=1)
    spec = write_npz(
        tmp_path, x_train=train["x"], y_train=train["y"], x_test=test["x"], y_test=test["y"]
    )
    data = load_data(spec, model)
    images, labels = everything(data.train)
    np.testing.assert_allclose(images, train["x"] / np.float32(255), rtol=1e-6)
    assert labels is not None
    assert labels.tolist() == train["y"].tolist()
    assert len(everything(data.test)[0]) == 6


def test_npz_without_split_is_split_by_the_seed(model: Model, tmp_path: Path) -> None:
    found = patterns(100)
    spec = write_npz(tmp_path, x=found["x"], y=found["y"][:, None])

    def test_images(seed: int) -> np.ndarray:
        options = DataOptions(seed=seed, test_share=0.2)
        data = load_data(spec, model, options)
        both = np.concatenate([everything(data.train)[0], everything(data.test)[0]])
        assert len(both) == 100
        assert len(np.unique(both, axis=0)) == 100
        return everything(data.test)[0]

    assert np.array_equal(test_images(1), test_images(1))
    assert not np.array_equal(test_images(1), test_images(2))
    assert len(test_images(1)) == pytest.approx(20, abs=2)


def test_held_out_takes_its_share_of_every_class() -> None:
    labels = np.repeat(np.arange(3), [50, 100, 10])
    mask = held_out(160, labels, seed=0, share=0.1)
    assert [int(mask[labels == c].sum()) for c in range(3)] == [5, 10, 1]
    assert held_out(3, None, seed=0, share=0.01).sum() == 1


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("nhwc_model", [False, True])
def test_npz_layouts_reach_the_model_alike(layout: str, nhwc_model: bool, tmp_path: Path) -> None:
    model = classifier(tmp_path, nhwc=nhwc_model)
    x = patterns(4)["x"]
    spec = write_npz(tmp_path, x_train=x if layout == "NCHW" else x.transpose(0, 2, 3, 1))
    images = next(iter(load_data(spec, model).train.batches(4, training=False))).inputs[0]
    expected = x.transpose(0, 2, 3, 1) if nhwc_model else x
    if len(images) == 4:
        np.testing.assert_allclose(images, expected / np.float32(255), rtol=1e-6)
    assert images.shape[1:] == expected.shape[1:]


def test_npz_grey_images_without_a_channel_axis(tmp_path: Path) -> None:
    model = classifier(tmp_path, channels=1)
    x = patterns(4)["x"][:, 0]
    data = load_data(write_npz(tmp_path, x_train=x, x_test=x, y_test=np.zeros(4, int)), model)
    assert everything(data.test)[0].shape == (4, 1, 8, 8)


def test_npz_floats_are_not_scaled(model: Model, tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((3, 3, 8, 8))
    data = load_data(write_npz(tmp_path, x_train=x, x_test=x), model)
    np.testing.assert_allclose(everything(data.test)[0], x.astype(np.float32))


X = patterns(4)["x"]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X[:, :, :7]}, r"x: expected images \[N, 3, 8, 8\] or .*, found \[4, 3, 7, 8\]"),
        ({"x": X[0]}, r"expected images .*, found \[3, 8, 8\]"),
        ({"x": X[:0]}, "x: no samples"),
        ({"x": X.astype(str)}, "is not numeric"),
        ({"x": np.where(X > 250, np.nan, X)}, r"x: sample \d contains NaN"),
        ({"x": X, "y": np.array([0, 1, 4, 2])}, r"y: label 4 of sample 2 .* 4 classes \(0 to 3\)"),
        ({"x": X, "y": np.array([0, -1, 3, 2])}, r"y: label -1 of sample 1 is out of range"),
        ({"x": X, "y": np.arange(3)}, r"y: expected 4 labels, one per sample, found shape \[3\]"),
        ({"x": X, "y": np.array([0.5, 1, 1, 1])}, "labels must be integers, found float64"),
        ({"x": X, "y": np.array(list("abcd"))}, "labels must be integers"),
        ({"images": X}, "has neither x_train nor x, found images"),
    ],
)
def test_npz_refusals(arrays: dict[str, Any], message: str, model: Model, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        load_data(write_npz(tmp_path, **arrays), model)


def test_npz_that_is_none(model: Model, tmp_path: Path) -> None:
    (tmp_path / "bad.npz").write_bytes(b"not a zip")
    with pytest.raises(DataError, match=r"bad\.npz' cannot be read"):
        load_data(str(tmp_path / "bad.npz"), model)
    with pytest.raises(DataError, match="does not exist"):
        load_data(str(tmp_path / "missing.npz"), model)
    with pytest.raises(DataError, match="'nowhere' not found"):
        load_data("nowhere", model)


def test_models_without_one_image_input(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Conv", ["a", "k"], ["c"]),
        helper.make_node("Add", ["c", "b"], ["y"]),
    ]
    shapes = {"a": (1, 3, 4, 4), "b": (1, 2, 4, 4)}
    weights = {"k": np.ones((2, 3, 1, 1), np.float32)}
    model = load_model(save(tmp_path / "two.onnx", nodes, shapes, ["y"], weights))
    with pytest.raises(DataError, match=r"one input of rank 4, this one has 'a' .*, 'b' "):
        load_data(write_npz(tmp_path, x=X), model)


def test_a_small_rest_is_left_out_of_training(model: Model, tmp_path: Path) -> None:
    found = patterns(45)
    test = patterns(5)
    spec = write_npz(
        tmp_path, x_train=found["x"], y_train=found["y"], x_test=test["x"], y_test=test["y"]
    )
    train = load_data(spec, model).train
    assert [b.size for b in train.batches(20, training=True)] == [20, 20]
    assert [b.size for b in train.batches(17, training=True)] == [17, 17, 11]
    assert [b.size for b in train.batches(20, training=False)] == [20, 20, 5]
    assert [b.size for b in train.batches(64, training=True)] == [45]


def test_training_passes_repeat_with_their_seed(model: Model, tmp_path: Path) -> None:
    train = load_data(write_npz(tmp_path, **patterns(40)), model).train

    def one_pass(seed: int) -> np.ndarray:
        return np.concatenate([b.inputs[0] for b in train.batches(8, training=True, seed=seed)])

    assert np.array_equal(one_pass(3), one_pass(3))
    assert not np.array_equal(one_pass(3), one_pass(4))
