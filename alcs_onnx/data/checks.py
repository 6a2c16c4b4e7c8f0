"""What a model takes, and whether images and labels fit it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from alcs_onnx.errors import DataError
from alcs_onnx.graph import Model
from alcs_onnx.types import IntArray, Shape

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class ImageInput:
    """The input of a model that takes images."""

    name: str
    channels: int
    height: int
    width: int
    channels_first: bool

    @classmethod
    def of(cls, model: Model, layout: str = "auto", given: Collection[str] = ()) -> ImageInput:
        """Read it off the model: the one input of rank 4 that counts samples.

        Inputs that are `given` are none. Raises `DataError` where there is not exactly one.
        """
        images = [
            info
            for info in model.inputs
            if len(info.shape) == 4 and info.name in model.sample_inputs and info.name not in given
        ]
        if len(images) != 1:
            raise DataError(
                "image data needs a model with one input of rank 4, this one has "
                + ", ".join(f"'{i.name}' {list(i.shape)}" for i in model.inputs)
                + ": give the data as module:function"
            )
        info = images[0]
        _, a, b, c = info.shape
        first = layout == "NCHW" or (layout == "auto" and channels_first(info.shape))
        return cls(info.name, *((a, b, c) if first else (c, a, b)), first)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        return self.channels, self.height, self.width


def channels_first(shape: Shape) -> bool:
    """Whether an image input of this shape is NCHW, as far as it tells, and not NHWC."""
    return not (shape[3] in (1, 3, 4) and shape[1] not in (1, 3))


def class_count(model: Model) -> int | None:
    """Classes of a classifier: the size of its only [N, classes] output, else None."""
    if len(model.outputs) == 1 and len(model.outputs[0].shape) == 2:
        return int(model.outputs[0].shape[1])
    return None


def check_labels(labels: Array, samples: int, classes: int | None, where: str) -> IntArray:
    """Labels as int64 [samples]; raises `DataError` naming the first that does not fit."""
    found = np.asarray(labels)
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    if found.ndim != 1 or found.shape[0] != samples:
        raise DataError(
            f"{where}: expected {samples} labels, one per sample, found shape {list(found.shape)}"
        )
    whole = found.dtype.kind == "f" and np.array_equal(found, np.round(found))
    if found.dtype.kind not in "iub" and not whole:
        raise DataError(f"{where}: labels must be integers, found {found.dtype}")
    result = found.astype(np.int64)
    bad = (result < 0) if classes is None else (result < 0) | (result >= classes)
    if bad.any():
        sample = int(bad.argmax())
        allowed = "not negative" if classes is None else f"0 to {classes - 1}"
        raise DataError(
            f"{where}: label {result[sample]} of sample {sample} is out of range, the model "
            + (f"has {classes} classes ({allowed})" if classes else f"needs labels {allowed}")
        )
    return result


def check_images(pixels: Array, image: ImageInput, where: str) -> Array:
    """Images as [N, C, H, W], uint8 or float32, converted from NHWC or, in grey, NHW.

    Raises `DataError` for another shape, an unusable element type, or values not finite.
    """
    c, h, w = image.shape
    array = np.asarray(pixels)
    expected = f"[N, {c}, {h}, {w}] or [N, {h}, {w}, {c}]" + (
        f" or [N, {h}, {w}]" if c == 1 else ""
    )
    if array.ndim == 3 and c == 1 and array.shape[1:] == (h, w):
        array = array[:, None]
    elif array.ndim == 4 and array.shape[1:] == (h, w, c) and array.shape[1:] != (c, h, w):
        array = array.transpose(0, 3, 1, 2)
    elif array.ndim != 4 or array.shape[1:] != (c, h, w):
        raise DataError(f"{where}: expected images {expected}, found {list(array.shape)}")
    if array.shape[0] == 0:
        raise DataError(f"{where}: no samples")
    if array.dtype != np.uint8:
        if array.dtype.kind not in "fiu":
            raise DataError(f"{where}: element type {array.dtype} is not numeric")
        if array.dtype.kind == "f":
            finite = np.isfinite(array.reshape(array.shape[0], -1)).all(1)
            if not finite.all():
                raise DataError(
                    f"{where}: sample {int((~finite).argmax())} contains NaN or infinity"
                )
        array = array.astype(np.float32)
    return np.ascontiguousarray(array)
