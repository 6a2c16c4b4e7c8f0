"""Image files in folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from alcs_onnx.data.checks import ImageInput, check_labels, class_count
from alcs_onnx.data.decode import Decoder, open_files, read_files
from alcs_onnx.data.images import ImageSamples
from alcs_onnx.data.looks import look_notes
from alcs_onnx.data.options import DataOptions, PictureOptions, ReadOptions
from alcs_onnx.data.others import OtherInputs
from alcs_onnx.data.pool import Chosen, Pool
from alcs_onnx.data.samples import Data
from alcs_onnx.data.split import split_samples
from alcs_onnx.errors import DataError
from alcs_onnx.graph import Model
from alcs_onnx.types import IntArray

SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
_TRAIN = ("train", "training")
_TEST = ("test", "val", "validation", "valid")


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
    root, image = Path(spec), _image_input(model, options)
    train_folder, test_folder = _subfolder(root, _TRAIN), _subfolder(root, _TEST)
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


def pictures(spec: str, model: Model, options: PictureOptions) -> Pool:
    """Pictures of `train`, else of `test` (or val, validation), else of the folder itself.

    They lie in class folders or side by side. Class folders give labels where they are as many as
    the classes of the model; else they are only chosen from evenly.
    """
    image = _image_input(model, options)
    others = OtherInputs.of(model, image.name, options.values)
    root = Path(spec)
    places = [p for p in (_subfolder(root, _TRAIN), _subfolder(root, _TEST), root) if p is not None]
    found = next((group for place in places if (group := _grouped(place)).paths), None)
    if found is None:
        raise DataError(f"folder '{spec}' holds no pictures ({', '.join(sorted(SUFFIXES))})")
    outputs = class_count(model)
    labelled = found.groups is not None and len(found.classes) == outputs
    decode = Decoder(image, options.crop_fraction)

    def read(members: IntArray) -> Chosen:
        paths = [found.paths[member] for member in members]
        store, looks = read_files(paths, decode, options.cache_bytes)
        labels = found.groups[members] if found.groups is not None and labelled else None
        samples = ImageSamples(store, labels, options.preprocess, image.channels_first, others)
        return Chosen(
            samples,
            [look.name for look in looks],
            np.array([look.constant for look in looks]),
            look_notes(looks, (image.width, image.height), decode.mode),
        )

    notes = []
    if len(found.classes) > 1 and outputs is not None and not labelled:
        notes.append(
            f"no labels are read off {len(found.classes)} class folders: the model has {outputs} "
            "classes"
        )
    if found.beside:
        notes.append(f"pictures beside the class folders are not used: {found.beside}")
    return Pool(
        str(found.folder), len(found.paths), read, found.groups, found.classes, tuple(notes)
    )


@dataclass(frozen=True, eq=False)
class _Files:
    """The pictures of a folder; `groups` are the numbers of their class folders, if any.

    `beside` counts those that lie beside the class folders.
    """

    folder: Path
    paths: list[Path]
    groups: IntArray | None = None
    classes: tuple[str, ...] = ()
    beside: int = 0


def _grouped(folder: Path) -> _Files:
    """What lies in class folders, or else in `folder`; class folders without pictures are none."""
    flat = _files(folder)
    groups = [(name.name, files) for name in _folders(folder) if (files := _files(name))]
    if not groups:
        return _Files(folder, flat)
    paths = [path for _, files in groups for path in files]
    numbers = np.repeat(np.arange(len(groups)), [len(files) for _, files in groups])
    return _Files(folder, paths, numbers, tuple(name for name, _ in groups), len(flat))


def _subfolder(root: Path, names: Sequence[str]) -> Path | None:
    subfolders = {folder.name.lower(): folder for folder in _folders(root)}
    return next((subfolders[name] for name in names if name in subfolders), None)


def _image_input(model: Model, options: ReadOptions) -> ImageInput:
    image = ImageInput.of(model, options.preprocess.layout, options.values)
    if image.channels not in (1, 3):
        raise DataError(f"image files have 1 or 3 channels, the model takes {image.channels}")
    options.preprocess.check_channels(image.channels)
    return image


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
    store = open_files(paths, Decoder(image, options.crop_fraction), options.cache_bytes)
    samples = ImageSamples(
        store,
        labels,
        options.preprocess,
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
