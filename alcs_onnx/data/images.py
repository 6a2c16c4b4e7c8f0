"""Images of one size, and the batches made of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy.typing as npt

from alcs_onnx.data.others import OtherInputs
from alcs_onnx.data.preprocess import Preprocess
from alcs_onnx.data.samples import Batch, batch_members, count_batches
from alcs_onnx.types import IntArray

Array = npt.NDArray[Any]


class ImageStore(Protocol):
    """Random access to images of one size."""

    def __len__(self) -> int: ...

    def images(self, indices: IntArray) -> Array:
        """Images [n, C, H, W], uint8 or float32."""
        ...


@dataclass(frozen=True, eq=False)
class ArrayStore:
    """Images that are all in memory, [N, C, H, W]."""

    pixels: Array

    def __len__(self) -> int:
        return int(self.pixels.shape[0])

    def images(self, indices: IntArray) -> Array:
        """Copies of the chosen images."""
        chosen: Array = self.pixels[indices]
        return chosen


@dataclass(frozen=True, eq=False)
class ImageSamples:
    """Images with labels or without, preprocessed a batch at a time."""

    store: ImageStore
    labels: IntArray | None
    preprocess: Preprocess = field(default_factory=Preprocess)
    channels_first: bool = True
    others: OtherInputs = field(default_factory=OtherInputs)

    def __len__(self) -> int:
        return len(self.store)

    @property
    def labelled(self) -> bool:
        """Whether there are labels."""
        return self.labels is not None

    def batch_count(self, batch_size: int, *, training: bool) -> int:
        """Batches of one pass; in training a small rest is left out, another one each time."""
        return count_batches(len(self), batch_size, training=training)

    def batches(self, batch_size: int, *, training: bool, seed: int = 0) -> Iterator[Batch]:
        """One pass, in order or, in training, shuffled from `seed`."""
        for chosen in batch_members(len(self), batch_size, training=training, seed=seed):
            images: Array = self.preprocess.apply(self.store.images(chosen))
            if not self.channels_first:
                images = images.transpose(0, 2, 3, 1)
            targets = None if self.labels is None else self.labels[chosen]
            yield Batch(self.others.beside(images), len(chosen), targets)

    def subset(self, members: IntArray) -> ImageSamples:
        """The samples whose numbers are `members`, in that order."""
        labels = None if self.labels is None else self.labels[members]
        return replace(self, store=_Subset(self.store, members), labels=labels)


@dataclass(frozen=True, eq=False)
class _Subset:
    store: ImageStore
    members: IntArray

    def __len__(self) -> int:
        return len(self.members)

    def images(self, indices: IntArray) -> Array:
        return self.store.images(self.members[indices])
