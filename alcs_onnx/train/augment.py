"""Random changes of training images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from alcs_onnx.data import Batch, Data, ImageSamples
from alcs_onnx.errors import AlcsError
from alcs_onnx.types import IntArray


@dataclass(frozen=True)
class Augment:
    """Random changes of training batches: horizontal flips, and crops after padding.

    `crop` is the padding in pixels on every side before an H×W window is cut at random.
    Padding is zero in the model's units, that is the mean.
    """

    flip: bool = False
    crop: int = 0

    @classmethod
    def parse(cls, text: str) -> Augment:
        """Parse `flip,crop=4`, or `none`; raises `AlcsError` for anything else."""
        flip, crop = False, 0
        for part in filter(None, (p.strip() for p in text.split(","))):
            key, _, value = part.partition("=")
            if key == "flip" and not value:
                flip = True
            elif key == "crop" and value.isdigit():
                crop = int(value)
            elif part != "none":
                raise AlcsError(f"augmentation '{part}' is not understood: write flip,crop=4")
        return cls(flip, crop)

    def apply(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Change [N, C, H, W] images, each in its own way, drawing from `generator`."""
        count, _, height, width = images.shape
        if self.flip:
            flipped = torch.rand(count, generator=generator) < 0.5
            images = torch.where(flipped.reshape(-1, 1, 1, 1), images.flip(3), images)
        if self.crop:
            size = 2 * self.crop + 1
            top = torch.randint(size, (count, 1), generator=generator)
            left = torch.randint(size, (count, 1), generator=generator)
            rows = (top + torch.arange(height)).reshape(count, 1, height, 1)
            columns = (left + torch.arange(width)).reshape(count, 1, 1, width)
            padded = functional.pad(images, [self.crop] * 4)
            channels = torch.arange(images.shape[1]).reshape(1, -1, 1, 1)
            images = padded[torch.arange(count).reshape(-1, 1, 1, 1), channels, rows, columns]
        return images


@dataclass(frozen=True, eq=False)
class AugmentedSamples:
    """Image samples whose training batches are changed at random."""

    samples: ImageSamples
    augment: Augment

    @property
    def labelled(self) -> bool:
        """Whether there are labels."""
        return self.samples.labelled

    @property
    def labels(self) -> IntArray | None:
        """Numbers of classes, where there are labels."""
        return self.samples.labels

    def __len__(self) -> int:
        return len(self.samples)

    def subset(self, members: IntArray) -> AugmentedSamples:
        """The samples whose numbers are `members`, in that order."""
        return replace(self, samples=self.samples.subset(members))

    def batch_count(self, batch_size: int, *, training: bool) -> int:
        """Batches of one pass, as without the changes."""
        return self.samples.batch_count(batch_size, training=training)

    def batches(self, batch_size: int, *, training: bool, seed: int = 0) -> Iterator[Batch]:
        """One pass; in training, order and changes are determined by `seed`."""
        generator = torch.Generator().manual_seed(seed)
        for batch in self.samples.batches(batch_size, training=training, seed=seed):
            yield self._changed(batch, generator) if training else batch

    def _changed(self, batch: Batch, generator: torch.Generator) -> Batch:
        place, channels_first = self.samples.others.place, self.samples.channels_first
        images = torch.from_numpy(batch.inputs[place])
        if channels_first:
            changed = self.augment.apply(images, generator)
        else:
            changed = self.augment.apply(images.permute(0, 3, 1, 2), generator).permute(0, 2, 3, 1)
        inputs = (*batch.inputs[:place], changed.numpy(), *batch.inputs[place + 1 :])
        return replace(batch, inputs=inputs)


def augmented(data: Data, augment: Augment) -> Data:
    """`data` with `augment` for its training images; loaders of the user's stay as they are."""
    if augment == Augment() or not isinstance(data.train, ImageSamples):
        return data
    return replace(data, train=AugmentedSamples(data.train, augment))
