"""What every source of data provides: samples, and the batches made of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

#: loss(outputs, targets) → scalar; outputs is one tensor, or all of them by name.
Loss = Callable[[Any, Any], Tensor]
#: metric(outputs, targets) → mean over the batch, larger is better.
Metric = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Batch:
    """Model inputs in graph order, the number of samples in them, and their targets.

    Targets are None where the data has no labels.
    """

    inputs: tuple[Tensor, ...]
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
