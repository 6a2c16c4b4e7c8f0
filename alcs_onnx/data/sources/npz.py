"""Arrays in one .npz file."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from alcs_onnx.data.checks import ImageInput, check_images, check_labels, class_count
from alcs_onnx.data.images import ArrayStore, ImageSamples
from alcs_onnx.data.options import DataOptions
from alcs_onnx.data.others import OtherInputs
from alcs_onnx.data.samples import Data
from alcs_onnx.data.split import split_samples
from alcs_onnx.errors import DataError
from alcs_onnx.graph import Model


def matches(spec: str) -> bool:
    """A name that ends in .npz, whether the file exists or not."""
    return spec.lower().endswith(".npz")


def load(spec: str, model: Model, options: DataOptions) -> Data:
    """`x_train`, `y_train`, `x_test`, `y_test`, or `x` and `y`, which are split with the seed.

    Labels may be missing throughout: then the dense model is the teacher.
    """
    path = Path(spec)
    if not path.is_file():
        raise DataError(f"data file '{spec}' does not exist")
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, TypeError, zlib.error, zipfile.BadZipFile) as error:
        raise DataError(f"data file '{spec}' cannot be read: {error}") from None
    image = ImageInput.of(model, options.preprocess.layout, options.values)
    others = OtherInputs.of(model, image.name, options.values)
    options.preprocess.check_channels(image.channels)

    def samples(x: str, y: str) -> ImageSamples:
        pixels = check_images(arrays[x], image, f"{spec}: {x}")
        labels = None
        if y in arrays:
            labels = check_labels(arrays[y], len(pixels), class_count(model), f"{spec}: {y}")
        return ImageSamples(
            ArrayStore(pixels),
            labels,
            options.preprocess,
            image.channels_first,
            others,
        )

    if "x_train" in arrays:
        test = samples("x_test", "y_test") if "x_test" in arrays else None
        train = samples("x_train", "y_train")
        return Data(train, test) if test is not None else Data(*split_samples(train, options))
    if "x" in arrays:
        return Data(*split_samples(samples("x", "y"), options))
    found = ", ".join(sorted(arrays)) or "nothing"
    raise DataError(f"data file '{spec}' has neither x_train nor x, found {found}")
