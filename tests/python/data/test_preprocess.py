"""From pixels to the units of the model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from classifiers import classifier, patterns
from data_files import write_npz

from alcs_onnx.data import DataOptions, Preprocess, load_data
from alcs_onnx.errors import AlcsError

SPECS = ["none", "imagenet", "tf", "scale=1/255, mean=0.5:0.25:0, std=0.5:0.25:2", "scale=2,std=3"]


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_preprocessing_arithmetic(spec: str, dtype: type, rng: np.random.Generator) -> None:
    """To one rounding of float32 at the largest value, whatever is left of it near zero."""
    given = Preprocess.parse(spec)
    pixels: np.ndarray = rng.integers(0, 256, (2, 3, 16, 16)).astype(dtype)
    scale = given.scale or (1 / 255 if dtype is np.uint8 else 1.0)
    mean, std = (np.reshape(values, (1, -1, 1, 1)) for values in (given.mean, given.std))
    expected = (pixels.astype(np.float64) * scale - mean) / std
    found = given.apply(pixels)
    assert found.dtype == np.float32
    largest = max(abs(expected).max(), abs(mean / std).max(), abs(expected + mean / std).max())
    np.testing.assert_allclose(found, expected, rtol=0, atol=1.5 * 2**-23 * largest)


def test_pixels_are_not_changed(rng: np.random.Generator) -> None:
    pixels = rng.standard_normal((2, 3, 4, 4)).astype(np.float32)
    before = pixels.copy()
    Preprocess.parse("imagenet").apply(pixels)
    np.testing.assert_array_equal(pixels, before)


def test_presets() -> None:
    assert Preprocess.parse("none") == Preprocess()
    assert Preprocess.parse("imagenet").mean == (0.485, 0.456, 0.406)
    pixels = np.full((1, 3, 1, 1), 255, np.uint8)
    np.testing.assert_array_equal(Preprocess.parse("tf").apply(pixels), np.ones((1, 3, 1, 1)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mena=1", "'mena=1' is not understood"),
        ("mean=a", "'a' in the preprocessing is not a number"),
        ("std=0", "std and scale not zero"),
        ("scale=1/0", "is not a number"),
        ("layout=CHW", "layout 'CHW' is not one of"),
    ],
)
def test_preprocessing_refusals(text: str, message: str) -> None:
    with pytest.raises(AlcsError, match=message):
        Preprocess.parse(text)


def test_channel_count_of_the_mean(tmp_path: Path) -> None:
    options = DataOptions(preprocess=Preprocess(mean=(0.1, 0.2)))
    with pytest.raises(AlcsError, match="2 values of mean, the model's input has 3 channels"):
        load_data(write_npz(tmp_path, x=patterns(4)["x"]), classifier(tmp_path), options)
