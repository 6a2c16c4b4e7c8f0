"""What every source of data provides: samples, and the batches made of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from alcs_onnx.types import IntArray

Array = npt.NDArray[Any]

#: loss(outputs, targets) → scalar torch tensor; outputs is one tensor, or all of them by name.
Loss = Callable[[Any, Any], Any]
#: metric(outputs, targets) → mean over the batch, larger is better.
Metric = Callable[[Any, Any], Any]


@dataclass(frozen=True, eq=False)
class Batch:
    """Model inputs in graph order, the number of samples in them, and their targets.

    Targets are labels [size] or, of a loader of the user's, whatever it gives; None where the
    data has none.
    """

    inputs: tuple[Array, ...]
    size: int
    targets: Any = None


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
        """One pass. `training` shuffles, determined by `seed`."""
        ...


@runtime_checkable
class IndexedSamples(Samples, Protocol):
    """Samples whose number is known, and any of which can be had."""

    def __len__(self) -> int: ...

    @property
    def labels(self) -> IntArray | None:
        """Numbers of classes, where the targets are that."""
        ...

    def subset(self, members: IntArray) -> IndexedSamples:
        """The samples whose numbers are `members`, in that order."""
        ...


@dataclass(frozen=True, eq=False)
class Data:
    """What a source hands over: training samples, and held-out ones where there are any."""

    train: Samples
    test: Samples | None = None
    loss: Loss | None = None
    metric: Metric | None = None
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def count_batches(samples: int, batch_size: int, *, training: bool) -> int:
    """Batches of one pass; in training a small rest is left out, another one each time."""
    # A last batch below half the size would weigh its few samples too much.
    if training and samples >= batch_size:
        return round(samples / batch_size)
    return math.ceil(samples / batch_size)


def batch_members(
    samples: int, batch_size: int, *, training: bool, seed: int
) -> Iterator[IntArray]:
    """The numbers of the samples of each batch, in order or, in training, shuffled by `seed`."""
    order = np.arange(samples, dtype=np.int64)
    if training:
        np.random.default_rng(seed).shuffle(order)
    for index in range(count_batches(samples, batch_size, training=training)):
        yield order[index * batch_size : (index + 1) * batch_size]
