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
from alcs_onnx.data.looks import Look, constant_pictures
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

    @property
    def mode(self) -> str:
        """Pillow's word for the colours that the model takes."""
        return "L" if self.image.channels == 1 else "RGB"

    def __call__(self, path: Path) -> Pixels:
        """The image as uint8 [C, H, W]; raises `DataError` naming the file."""
        return self.look(path)[0]

    def look(self, path: Path) -> tuple[Pixels, Look]:
        """The same, and what the file looks like."""
        from PIL import Image

        c, h, w = self.image.shape
        try:
            with Image.open(path) as opened:
                # Phones keep a second view of a photo in its file, which makes no animation.
                moves = opened.format != "MPO" and bool(getattr(opened, "is_animated", False))
                original = opened.size, opened.mode
                picture = opened.convert(self.mode)
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
        pixels = np.ascontiguousarray(pixels.transpose(2, 0, 1))
        constant = bool(constant_pictures(pixels[None])[0])
        return pixels, Look(str(path), *original, moves, constant)


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
    if _fits(paths, decode, cache_bytes):
        return read_files(paths, decode, cache_bytes)[0]
    return FileStore(paths, decode, _threads())


def read_files(
    paths: Sequence[Path], decode: Decoder, cache_bytes: int
) -> tuple[ImageStore, list[Look]]:
    """The same with every file read once, whether it stays in memory or not."""
    keep = _fits(paths, decode, cache_bytes)
    pixels = np.empty((len(paths) if keep else 0, *decode.image.shape), dtype=np.uint8)
    looks = []
    with _threads() as pool:
        for index, (decoded, look) in enumerate(pool.map(decode.look, paths)):
            if keep:
                pixels[index] = decoded
            looks.append(look)
    return (ArrayStore(pixels) if keep else FileStore(paths, decode, _threads())), looks


def _fits(paths: Sequence[Path], decode: Decoder, cache_bytes: int) -> bool:
    return len(paths) * int(np.prod(decode.image.shape)) <= cache_bytes


def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(min(os.cpu_count() or 1, 8))
