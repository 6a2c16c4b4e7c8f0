"""Folders of image files as data: splits, sizes, classes, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from classifiers import classifier
from data_files import CLASSES, everything, write_folder
from PIL import Image

from alcs_onnx.data import DataOptions, load_data
from alcs_onnx.errors import DataError
from alcs_onnx.graph import Model


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return classifier(tmp_path)


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("name", ["test", "val", "validation"])
def test_folder(cached: bool, name: str, model: Model, tmp_path: Path) -> None:
    root = tmp_path / "data"
    write_folder(root, "train")
    write_folder(root, name, count=2)
    data = load_data(str(root), model, DataOptions(cache_bytes=1 << 30 if cached else 0))
    assert data.classes == CLASSES
    images, labels = everything(data.test)
    assert labels is not None
    assert labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert (images[3] * 255).round()[:, 0, 0].tolist() == [41, 10, 200]
    assert len(everything(data.train)[0]) == 12


def test_folder_without_train_is_split(model: Model, tmp_path: Path) -> None:
    write_folder(tmp_path, "data", count=10)
    data = load_data(str(tmp_path / "data"), model)
    assert sorted(everything(data.test)[1].tolist()) == [0, 1, 2, 3]
    assert len(everything(data.train)[0]) == 36


def test_folder_of_images_has_no_labels(model: Model, tmp_path: Path) -> None:
    folder = tmp_path / "flat"
    folder.mkdir()
    for index in range(10):
        Image.new("L", (8, 8), index).save(folder / f"{index}.png")
    data = load_data(str(folder), model)
    assert not data.train.labelled
    assert data.test is not None


def test_images_are_resized_and_centre_cropped(model: Model, tmp_path: Path) -> None:
    root = tmp_path / "data"
    write_folder(root, "train", size=(40, 20))
    bars = np.zeros((20, 40, 3), np.uint8)
    bars[:, 15:25] = 255
    Image.fromarray(bars).save(root / "train" / "ant" / "0.png")
    data = load_data(str(root), model, DataOptions(crop_fraction=1.0))
    pixels = next(iter(data.train.batches(12, training=False))).inputs[0]
    assert pixels.shape[1:] == (3, 8, 8)
    store = everything(data.train)[0]
    bar = next(image for image in store if image.max() > 0.9 and image[0].std() > 0.1)
    columns = bar[0].mean(0)
    assert columns[0] < 0.1
    assert columns[3] > 0.9
    np.testing.assert_allclose(columns, columns[::-1], atol=0.02)


def test_grey_models_take_grey_images(tmp_path: Path) -> None:
    model = classifier(tmp_path, channels=1)
    root = tmp_path / "data"
    write_folder(root, "train")
    write_folder(root, "test")
    assert everything(load_data(str(root), model).test)[0].shape == (12, 1, 8, 8)


def test_folder_refusals(model: Model, tmp_path: Path) -> None:
    root = tmp_path / "data"
    write_folder(root, "test")
    with pytest.raises(DataError, match="has 'test' but no 'train'"):
        load_data(str(root), model)
    write_folder(root, "train")
    (root / "test" / "eel").mkdir()
    Image.new("RGB", (8, 8)).save(root / "test" / "eel" / "0.png")
    with pytest.raises(DataError, match=r"class 'eel' of .*test' has no training images"):
        load_data(str(root), model)
    (root / "train" / "eel").mkdir()
    with pytest.raises(DataError, match="has 5 classes, the model only 4"):
        load_data(str(root), model)


def test_empty_class_folder(model: Model, tmp_path: Path) -> None:
    root = tmp_path / "data"
    write_folder(root, "train")
    for image in (root / "train" / "bee").iterdir():
        image.unlink()
    with pytest.raises(DataError, match=r"class folder '.*bee' holds no images"):
        load_data(str(root), model)


def test_empty_folder(model: Model, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="holds neither images nor class folders"):
        load_data(str(tmp_path / "none"), model)


@pytest.mark.parametrize("cached", [True, False])
def test_unreadable_image_is_named(cached: bool, model: Model, tmp_path: Path) -> None:
    root = tmp_path / "data"
    write_folder(root, "train")
    (root / "train" / "cat" / "1.png").write_bytes(b"\x89PNG broken")
    options = DataOptions(cache_bytes=1 << 30 if cached else 0)
    with pytest.raises(DataError, match=r"image '.*cat/1\.png' cannot be read"):
        for _ in load_data(str(root), model, options).train.batches(99, training=False):
            pass


def test_fewer_classes_than_outputs_are_noted(tmp_path: Path) -> None:
    model = classifier(tmp_path, classes=6)
    write_folder(tmp_path / "data", "train")
    (note,) = load_data(str(tmp_path / "data"), model).notes
    assert "4 classes, the model 6" in note
