"""Image files in folders."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from alcs_onnx.errors import AlcsError, DataError
from alcs_onnx.graph import Model
from alcs_onnx.train.data.checks import ImageInput, check_labels, class_count
from alcs_onnx.train.data.images import ArrayStore, ImageSamples, ImageStore
from alcs_onnx.train.data.options import DataOptions
from alcs_onnx.train.data.others import OtherInputs
from alcs_onnx.train.data.samples import Data
from alcs_onnx.train.data.split import split_samples
from alcs_onnx.types import IntArray

SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
_TRAIN = ("train", "training")
_TEST = ("test", "val", "validation", "valid")


@dataclass(frozen=True)
class Decoder:
    """Reads an image file at the model's size: shorter side resized, centre cropped.

    A file of the right size is taken as it is.
    """

    image: ImageInput
    crop_fraction: float

    def __call__(self, path: Path) -> np.ndarray[Any, np.dtype[np.uint8]]:
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


@dataclass(frozen=True)
class FileStore:
    """Images decoded each time they are used, by as many threads as there are cores."""

    paths: Sequence[Path]
    decode: Callable[[Path], np.ndarray[Any, np.dtype[np.uint8]]]
    pool: ThreadPoolExecutor

    def __len__(self) -> int:
        return len(self.paths)

    def images(self, indices: IntArray) -> Tensor:
        """The chosen files, decoded."""
        chosen = [self.paths[i] for i in indices]
        return torch.from_numpy(np.stack(list(self.pool.map(self.decode, chosen))))


def _open(paths: Sequence[Path], image: ImageInput, options: DataOptions) -> ImageStore:
    """In memory where that fits `options.cache_bytes`, else file by file."""
    decode = Decoder(image, options.crop_fraction)
    pool = ThreadPoolExecutor(min(os.cpu_count() or 1, 8))
    store = FileStore(paths, decode, pool)
    if len(paths) * int(np.prod(image.shape)) > options.cache_bytes:
        return store
    pixels = np.empty((len(paths), *image.shape), dtype=np.uint8)
    for index, decoded in enumerate(pool.map(decode, paths, chunksize=64)):
        pixels[index] = decoded
    pool.shutdown()
    return ArrayStore(torch.from_numpy(pixels))


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())


def _folders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def matches(spec: str) -> bool:
    """A folder that exists."""
    return Path(spec).is_dir()


def load(spec: str, model: Model, options: DataOptions) -> Data:
    """`train/<class>/*.jpg` and `test/<class>/*.jpg` (or val, validation).

    Classes are numbered alphabetically. Without `train` the folder itself holds the classes,
    and a part of each is set aside for testing. A folder of images only has no labels.
    """
    try:
        import PIL  # noqa: F401
    except ModuleNotFoundError:
        raise AlcsError("image files need Pillow: pip install alcs-onnx[train]") from None
    root = Path(spec)
    image = ImageInput.of(model, options.preprocess.layout, options.values)
    if image.channels not in (1, 3):
        raise DataError(f"image files have 1 or 3 channels, the model takes {image.channels}")
    options.preprocess.check_channels(image.channels)
    subfolders = {folder.name.lower(): folder for folder in _folders(root)}
    train_folder = next((subfolders[n] for n in _TRAIN if n in subfolders), None)
    test_folder = next((subfolders[n] for n in _TEST if n in subfolders), None)
    if train_folder is None and test_folder is not None:
        raise DataError(f"data folder '{spec}' has '{test_folder.name}' but no 'train'")
    if train_folder is None:
        train, classes = _samples(root, None, image, model, options)
        return Data(*split_samples(train, options), classes=classes, notes=_notes(classes, model))
    train, classes = _samples(train_folder, None, image, model, options)
    if test_folder is None:
        return Data(*split_samples(train, options), classes=classes, notes=_notes(classes, model))
    test, _ = _samples(test_folder, classes, image, model, options)
    return Data(train, test, classes=classes, notes=_notes(classes, model))


def _notes(classes: Sequence[str], model: Model) -> tuple[str, ...]:
    outputs = class_count(model)
    if classes and outputs is not None and len(classes) < outputs:
        return (
            f"the data has {len(classes)} classes, the model {outputs}: labels count from 0 "
            "in alphabetical order of the folders",
        )
    return ()


def _samples(
    folder: Path,
    known: tuple[str, ...] | None,
    image: ImageInput,
    model: Model,
    options: DataOptions,
) -> tuple[ImageSamples, tuple[str, ...]]:
    folders = _folders(folder)
    labels: IntArray | None = None
    if not folders and not known:
        paths = _files(folder)
        classes: tuple[str, ...] = ()
        if not paths:
            raise DataError(f"data folder '{folder}' holds neither images nor class folders")
    else:
        classes = tuple(f.name for f in folders)
        _check_classes(folder, classes, known, model)
        numbers = {name: index for index, name in enumerate(known or classes)}
        paths, numbered = [], []
        for class_folder in folders:
            files = _files(class_folder)
            if not files:
                raise DataError(f"class folder '{class_folder}' holds no images")
            paths += files
            numbered += [numbers[class_folder.name]] * len(files)
        labels = check_labels(np.array(numbered), len(paths), class_count(model), str(folder))
    store = _open(paths, image, options)
    samples = ImageSamples(
        store,
        labels,
        options.preprocess,
        options.augment,
        image.channels_first,
        OtherInputs.of(model, image.name, options.values),
    )
    return samples, classes


def _check_classes(
    folder: Path, classes: Sequence[str], known: Sequence[str] | None, model: Model
) -> None:
    outputs = class_count(model)
    if known is not None:
        for name in classes:
            if name not in known:
                raise DataError(f"class '{name}' of '{folder}' has no training images")
    elif outputs is not None and len(classes) > outputs:
        raise DataError(
            f"data folder '{folder}' has {len(classes)} classes, the model only {outputs}"
        )
