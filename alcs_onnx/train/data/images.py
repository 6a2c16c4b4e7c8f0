"""Images of one size, and the batches made of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from alcs_onnx.train.data.others import OtherInputs
from alcs_onnx.train.data.preprocess import Augment, Preprocess
from alcs_onnx.train.data.samples import Batch
from alcs_onnx.types import IntArray


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
    others: OtherInputs = field(default_factory=OtherInputs)

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
            yield Batch(self.others.beside(images), len(chosen), targets)


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
