"""Training and evaluation data: what every source provides, and the batches made of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from alcs_onnx.errors import DataError
from alcs_onnx.graph import Model
from alcs_onnx.train.preprocess import Augment, Preprocess
from alcs_onnx.types import IntArray

Array = npt.NDArray[Any]

#: loss(outputs, targets) → scalar; outputs is one tensor, or all of them by name.
Loss = Callable[[Any, Any], Tensor]
#: metric(outputs, targets) → mean over the batch, larger is better.
Metric = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Batch:
    """Model inputs in graph order, and targets (None where the data has no labels)."""

    inputs: tuple[Tensor, ...]
    targets: Any = None

    @property
    def size(self) -> int:
        """Samples in the batch."""
        return int(self.inputs[0].shape[0])


class Samples(Protocol):
    """A set of samples that gives its batches one pass after another."""

    @property
    def labelled(self) -> bool:
        """Whether batches carry targets."""
        ...

    def batch_count(self, batch_size: int, *, training: bool) -> int | None:
        """Batches of one pass; None where only a pass can tell."""
        ...

    def batches(self, batch_size: int, *, training: bool, seed: int = 0) -> Iterator[Batch]:
        """One pass. `training` shuffles and augments, all of it determined by `seed`."""
        ...


@dataclass(frozen=True)
class Data:
    """What a source hands over: training samples, and held-out ones where there are any."""

    train: Samples
    test: Samples | None = None
    loss: Loss | None = None
    metric: Metric | None = None
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class ImageStore(Protocol):
    """Random access to images of one size."""

    def __len__(self) -> int: ...

    def images(self, indices: IntArray) -> Tensor:
        """Images [n, C, H, W], uint8 or float32."""
        ...


@dataclass(frozen=True)
class ArrayStore:
    """Images that are all in memory, [N, C, H, W]."""

    pixels: Tensor

    def __len__(self) -> int:
        return int(self.pixels.shape[0])

    def images(self, indices: IntArray) -> Tensor:
        """Copies of the chosen images."""
        return self.pixels[torch.from_numpy(indices)]


@dataclass(frozen=True)
class ImageSamples:
    """Images with labels or without, preprocessed a batch at a time."""

    store: ImageStore
    labels: IntArray | None
    preprocess: Preprocess = field(default_factory=Preprocess)
    augment: Augment = field(default_factory=Augment)
    channels_first: bool = True

    def __len__(self) -> int:
        return len(self.store)

    @property
    def labelled(self) -> bool:
        """Whether there are labels."""
        return self.labels is not None

    def batch_count(self, batch_size: int, *, training: bool) -> int:
        """Batches of one pass; in training a small rest is left out, another one each time."""
        # A last batch below half the size would weigh its few samples too much.
        if training and len(self) >= batch_size:
            return round(len(self) / batch_size)
        return math.ceil(len(self) / batch_size)

    def batches(self, batch_size: int, *, training: bool, seed: int = 0) -> Iterator[Batch]:
        """One pass, in order or, in training, shuffled and augmented from `seed`."""
        order = np.arange(len(self), dtype=np.int64)
        generator = torch.Generator().manual_seed(seed)
        if training:
            np.random.default_rng(seed).shuffle(order)
        for index in range(self.batch_count(batch_size, training=training)):
            chosen = order[index * batch_size : (index + 1) * batch_size]
            images = self.preprocess.apply(self.store.images(chosen))
            if training:
                images = self.augment.apply(images, generator)
            if not self.channels_first:
                images = images.permute(0, 2, 3, 1)
            targets = None if self.labels is None else torch.from_numpy(self.labels[chosen])
            yield Batch((images,), targets)


@dataclass(frozen=True)
class ImageInput:
    """The model's only input, where it is an image."""

    name: str
    channels: int
    height: int
    width: int
    channels_first: bool

    @classmethod
    def of(cls, model: Model, layout: str = "auto") -> ImageInput:
        """Read it off the model; raises `DataError` where the input is no single image."""
        if len(model.inputs) != 1 or len(model.inputs[0].shape) != 4:
            raise DataError(
                "image data needs a model with one input of rank 4, this one has "
                + ", ".join(f"'{i.name}' {list(i.shape)}" for i in model.inputs)
                + ": give the data as module:function"
            )
        info = model.inputs[0]
        _, a, b, c = info.shape
        first = layout == "NCHW" or (layout == "auto" and not (c in (1, 3, 4) and a not in (1, 3)))
        return cls(info.name, *((a, b, c) if first else (c, a, b)), first)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        return self.channels, self.height, self.width


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


def check_images(pixels: Array, image: ImageInput, where: str) -> Tensor:
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
    return torch.from_numpy(np.ascontiguousarray(array))


def held_out(count: int, labels: IntArray | None, seed: int, share: float) -> Array:
    """A mask of the samples set aside for testing, `share` of each class."""
    generator = np.random.default_rng(seed)
    mask = np.zeros(count, dtype=bool)
    strata = (
        [np.arange(count)]
        if labels is None
        else [np.flatnonzero(labels == label) for label in np.unique(labels)]
    )
    for members in strata:
        amount = round(len(members) * share)
        mask[generator.permutation(members)[:amount]] = True
    if count > 1 and not mask.any():
        mask[int(generator.integers(count))] = True
    return mask


@dataclass(frozen=True)
class DataOptions:
    """How data is read: preprocessing, augmentation, the held-out share and its seed.

    `cache_bytes` is how much memory decoded images may take; larger sets are decoded as
    they are used. `crop_fraction` is the share of the resized image that the centre crop
    keeps, for image files whose size is not the model's.
    """

    preprocess: Preprocess = field(default_factory=Preprocess)
    augment: Augment = field(default_factory=Augment)
    test_share: float = 0.1
    seed: int = 0
    cache_bytes: int = 2 << 30
    crop_fraction: float = 0.875


class Source(Protocol):
    """Loads one kind of data."""

    def __call__(self, spec: str, model: Model, options: DataOptions) -> Data:
        """Load `spec` for `model`; raises `DataError` where it does not fit."""
        ...


@dataclass(frozen=True)
class _Registered:
    matches: Callable[[str], bool]
    load: Source


_SOURCES: list[_Registered] = []


def source(matches: Callable[[str], bool]) -> Callable[[Source], Source]:
    """Register a source for the specifications that `matches` accepts; first match wins."""

    def add(load: Source) -> Source:
        _SOURCES.append(_Registered(matches, load))
        return load

    return add


def load_data(spec: str, model: Model, options: DataOptions | None = None) -> Data:
    """Open `spec`: a folder of images, an .npz file, or `module:function`.

    Raises `DataError` where it is missing, malformed, or does not fit the model.
    """
    from alcs_onnx.train import sources  # noqa: F401  (fills the registry)

    for entry in _SOURCES:
        if entry.matches(spec):
            return entry.load(spec, model, options or DataOptions())
    raise DataError(
        f"data '{spec}' not found: give a folder of images, an .npz file or module:function"
    )


def split_samples(samples: ImageSamples, options: DataOptions) -> tuple[ImageSamples, ImageSamples]:
    """Training and held-out part of samples that come without a split."""
    mask = held_out(len(samples), samples.labels, options.seed, options.test_share)
    return subset(samples, np.flatnonzero(~mask)), subset(samples, np.flatnonzero(mask))


@dataclass(frozen=True)
class _Subset:
    store: ImageStore
    members: IntArray

    def __len__(self) -> int:
        return len(self.members)

    def images(self, indices: IntArray) -> Tensor:
        return self.store.images(self.members[indices])


def subset(samples: ImageSamples, members: IntArray) -> ImageSamples:
    """The samples whose numbers are `members`, in that order."""
    labels = None if samples.labels is None else samples.labels[members]
    return replace(samples, store=_Subset(samples.store, members), labels=labels)


def to_inputs(value: Any, names: Sequence[str], where: str) -> tuple[Tensor, ...]:
    """Tensors in graph order from a tensor, array, sequence, or mapping by input name."""
    if isinstance(value, Mapping):
        missing = [name for name in names if name not in value]
        if missing:
            raise DataError(f"{where}: no value for model input '{missing[0]}'")
        values = [value[name] for name in names]
    elif isinstance(value, (list, tuple)) and len(names) > 1:
        values = list(value)
    else:
        values = [value]
    if len(values) != len(names):
        raise DataError(f"{where}: the model has {len(names)} inputs, found {len(values)}")
    return tuple(torch.as_tensor(v) for v in values)
