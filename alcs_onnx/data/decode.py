"""Image files, decoded at the size that a model takes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from alcs_onnx.data.checks import ImageInput
from alcs_onnx.data.images import ArrayStore, ImageStore
from alcs_onnx.errors import DataError
from alcs_onnx.types import IntArray

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Decoder:
    """Reads an image file at the model's size: shorter side resized, centre cropped.

    A file of the right size is taken as it is.
    """

    image: ImageInput
    crop_fraction: float

    def __call__(self, path: Path) -> Pixels:
        """The image as uint8 [C, H, W]; raises `DataError` naming the file."""
        from PIL import Image

        c, h, w = self.image.shape
        try:
            with Image.open(path) as opened:
                picture = opened.convert("L" if c == 1 else "RGB")
        except Exception as error:  # Pillow raises many types for damaged files
            raise DataError(f"image '{path}' cannot be read: {error}") from None
        if picture.size != (w, h):
            factor = max(w / picture.width, h / picture.height) / self.crop_fraction
            size = max(w, round(picture.width * factor)), max(h, round(picture.height * factor))
            if size != picture.size:
                picture = picture.resize(size, Image.Resampling.BILINEAR)
            left, top = (picture.width - w) // 2, (picture.height - h) // 2
            picture = picture.crop((left, top, left + w, top + h))
        pixels = np.asarray(picture, dtype=np.uint8).reshape(h, w, c)
        return np.ascontiguousarray(pixels.transpose(2, 0, 1))


@dataclass(frozen=True, eq=False)
class FileStore:
    """Images decoded each time they are used, by as many threads as there are cores."""

    paths: Sequence[Path]
    decode: Callable[[Path], Pixels]
    pool: ThreadPoolExecutor

    def __len__(self) -> int:
        return len(self.paths)

    def images(self, indices: IntArray) -> Pixels:
        """The chosen files, decoded."""
        chosen = [self.paths[i] for i in indices]
        return np.stack(list(self.pool.map(self.decode, chosen)))


def open_files(paths: Sequence[Path], decode: Decoder, cache_bytes: int) -> ImageStore:
    """In memory where that fits `cache_bytes`, else file by file.

    What is in memory was read; raises `DataError` for the first file that cannot be.
    """
    pool = ThreadPoolExecutor(min(os.cpu_count() or 1, 8))
    if len(paths) * int(np.prod(decode.image.shape)) > cache_bytes:
        return FileStore(paths, decode, pool)
    pixels = np.empty((len(paths), *decode.image.shape), dtype=np.uint8)
    with pool:
        for index, decoded in enumerate(pool.map(decode, paths, chunksize=64)):
            pixels[index] = decoded
    return ArrayStore(pixels)
