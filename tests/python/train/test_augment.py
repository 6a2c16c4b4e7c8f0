"""Random changes of training images, and which images get them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from classifiers import classifier, patterns  # noqa: E402
from data_files import write_npz  # noqa: E402

from alcs_onnx.data import load_data  # noqa: E402
from alcs_onnx.errors import AlcsError  # noqa: E402
from alcs_onnx.train import Augment, augmented  # noqa: E402


def test_augmentation_flips_and_shifts_each_image_by_itself() -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.arange(64.0).reshape(1, 1, 8, 8)
    batch = image.expand(200, 1, 8, 8)
    flipped = Augment(flip=True).apply(batch, generator)
    same = (flipped == image).flatten(1).all(1)
    mirrored = (flipped == image.flip(3)).flatten(1).all(1)
    assert (same ^ mirrored).all()
    assert 60 < int(same.sum()) < 140
    cropped = Augment(crop=2).apply(batch + 1, generator)
    padded = torch.nn.functional.pad(image + 1, [2] * 4)
    windows = padded.unfold(2, 8, 1).unfold(3, 8, 1).reshape(25, 64)
    found = {int((windows == c.flatten()).all(1).nonzero()) for c in cropped}
    assert len(found) == 25


def test_augmentation_is_parsed() -> None:
    assert Augment.parse("flip,crop=4") == Augment(True, 4)
    assert Augment.parse("none") == Augment()
    with pytest.raises(AlcsError, match="'rotate' is not understood"):
        Augment.parse("flip,rotate")


def test_training_passes_repeat_with_their_seed(tmp_path: Path) -> None:
    model = classifier(tmp_path)
    data = load_data(write_npz(tmp_path, **patterns(40)), model)
    train = augmented(data, Augment(flip=True, crop=2)).train

    def one_pass(seed: int) -> np.ndarray:
        return np.concatenate([b.inputs[0] for b in train.batches(8, training=True, seed=seed)])

    assert np.array_equal(one_pass(3), one_pass(3))
    assert not np.array_equal(one_pass(3), one_pass(4))
    plain, changed = (
        np.concatenate([b.inputs[0] for b in found.batches(8, training=False)])
        for found in (data.train, train)
    )
    assert np.array_equal(plain, changed)
    assert train.labelled
    few = train.subset(np.array([5, 3]))  # type: ignore[attr-defined]
    assert len(few) == 2
    np.testing.assert_array_equal(few.labels, data.train.labels[[5, 3]])  # type: ignore[attr-defined]
    assert train.batch_count(8, training=True) == data.train.batch_count(8, training=True)


def test_the_layout_of_the_model_changes_nothing(tmp_path: Path) -> None:
    x = patterns(40)["x"]

    def one_pass(nhwc: bool) -> np.ndarray:
        model = classifier(tmp_path, nhwc=nhwc)
        data = augmented(load_data(write_npz(tmp_path, x=x), model), Augment(flip=True, crop=2))
        batches = data.train.batches(8, training=True, seed=3)
        images = np.concatenate([b.inputs[0] for b in batches])
        return images.transpose(0, 3, 1, 2) if nhwc else images

    np.testing.assert_array_equal(one_pass(False), one_pass(True))


def test_only_training_images_are_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = classifier(tmp_path)
    data = load_data(write_npz(tmp_path, **patterns(40)), model)
    assert augmented(data, Augment()) is data
    assert augmented(data, Augment(flip=True)).test is data.test
    (tmp_path / "plain_loader.py").write_text(
        "import numpy as np\ndef data(): return ([np.zeros((4, 3, 8, 8), np.float32)],)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    loaded = load_data("plain_loader:data", model)
    assert augmented(loaded, Augment(flip=True)) is loaded
