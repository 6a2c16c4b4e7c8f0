"""Arrays in one .npz file."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from alcs_onnx.data.checks import ImageInput, check_images, check_labels, class_count
from alcs_onnx.data.images import ArrayStore, ImageSamples
from alcs_onnx.data.looks import constant_pictures
from alcs_onnx.data.options import DataOptions, PictureOptions, ReadOptions
from alcs_onnx.data.others import OtherInputs
from alcs_onnx.data.pool import Chosen, Pool
from alcs_onnx.data.samples import Data
from alcs_onnx.data.split import split_samples
from alcs_onnx.errors import DataError
from alcs_onnx.graph import Model
from alcs_onnx.types import IntArray

Array = npt.NDArray[Any]

#: The names of images and of their labels, those first that pictures are taken from.
_PAIRS = {"x_train": "y_train", "x": "y", "x_test": "y_test"}


def matches(spec: str) -> bool:
    """A name that ends in .npz, whether the file exists or not."""
    return spec.lower().endswith(".npz")


def load(spec: str, model: Model, options: DataOptions) -> Data:
    """`x_train`, `y_train`, `x_test`, `y_test`, or `x` and `y`, which are split with the seed.

    Labels may be missing throughout: then the dense model is the teacher.
    """
    arrays = _read(spec, lambda names: names)
    samples = _maker(spec, model, options)
    if "x_train" in arrays:
        test = samples(arrays, "x_test") if "x_test" in arrays else None
        train = samples(arrays, "x_train")
        return Data(train, test) if test is not None else Data(*split_samples(train, options))
    if "x" in arrays:
        return Data(*split_samples(samples(arrays, "x"), options))
    raise DataError(f"data file '{spec}' has neither x_train nor x, found {_listed(arrays)}")


def pictures(spec: str, model: Model, options: PictureOptions) -> Pool:
    """The images of `x_train`, `x` or `x_test`, the first that there is, with labels or without."""

    def wanted(names: Collection[str]) -> Collection[str]:
        found = next((x for x in _PAIRS if x in names), None)
        if found is None:
            raise DataError(
                f"data file '{spec}' has no pictures: x, x_train or x_test, found {_listed(names)}"
            )
        return [found, _PAIRS[found]]

    arrays = _read(spec, wanted)
    name = next(iter(arrays))
    samples = _maker(spec, model, options)(arrays, name)

    def read(members: IntArray) -> Chosen:
        pixels = samples.store.images(members)
        return Chosen(
            replace(samples.subset(members), store=ArrayStore(pixels)),
            [f"sample {member} of {spec}: {name}" for member in members],
            constant_pictures(pixels),
        )

    return Pool(f"{spec}: {name}", len(samples), read, samples.labels)


def _read(spec: str, choose: Callable[[Collection[str]], Collection[str]]) -> dict[str, Array]:
    """Those of the arrays that `choose` names, in its order, as far as there are any."""
    path = Path(spec)
    if not path.is_file():
        raise DataError(f"data file '{spec}' does not exist")
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {n: archive[n] for n in choose(archive.files) if n in archive.files}
    except (OSError, ValueError, EOFError, TypeError, zlib.error, zipfile.BadZipFile) as error:
        raise DataError(f"data file '{spec}' cannot be read: {error}") from None


def _maker(
    spec: str, model: Model, options: ReadOptions
) -> Callable[[dict[str, Array], str], ImageSamples]:
    """Makes samples of the arrays of a file, given the name of the images."""
    image = ImageInput.of(model, options.preprocess.layout, options.values)
    others = OtherInputs.of(model, image.name, options.values)
    options.preprocess.check_channels(image.channels)

    def samples(arrays: dict[str, Array], x: str) -> ImageSamples:
        pixels, labels, y = check_images(arrays[x], image, f"{spec}: {x}"), None, _PAIRS[x]
        if y in arrays:
            labels = check_labels(arrays[y], len(pixels), class_count(model), f"{spec}: {y}")
        return ImageSamples(
            ArrayStore(pixels), labels, options.preprocess, image.channels_first, others
        )

    return samples


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"
