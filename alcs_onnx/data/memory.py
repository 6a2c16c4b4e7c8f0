"""Samples of any inputs, all of them in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy.typing as npt

from alcs_onnx.data.others import GivenInput
from alcs_onnx.data.samples import Batch, batch_members, count_batches
from alcs_onnx.types import IntArray


@dataclass(frozen=True, eq=False)
class ArraySamples:
    """`count` samples of the inputs in graph order; `targets` have a row for each."""

    inputs: tuple[GivenInput, ...]
    count: int
    targets: npt.NDArray[Any] | None = None

    def __len__(self) -> int:
        return self.count

    @property
    def labelled(self) -> bool:
        """Whether there are targets."""
        return self.targets is not None

    @property
    def labels(self) -> IntArray | None:
        """The targets where they are numbers of classes."""
        labels = self.targets is not None and self.targets.ndim == 1
        return self.targets if labels and self.targets.dtype.kind == "i" else None  # type: ignore[union-attr]

    def batch_count(self, batch_size: int, *, training: bool) -> int:
        """Batches of one pass; in training a small rest is left out, another one each time."""
        return count_batches(len(self), batch_size, training=training)

    def batches(self, batch_size: int, *, training: bool, seed: int = 0) -> Iterator[Batch]:
        """One pass, in order or, in training, shuffled from `seed`."""
        for chosen in batch_members(len(self), batch_size, training=training, seed=seed):
            targets = None if self.targets is None else self.targets[chosen]
            yield Batch(tuple(given.rows(chosen) for given in self.inputs), len(chosen), targets)

    def subset(self, members: IntArray) -> ArraySamples:
        """Copies of the samples whose numbers are `members`, in that order."""
        inputs = tuple(replace(given, value=given.rows(members)) for given in self.inputs)
        targets = None if self.targets is None else self.targets[members]
        return ArraySamples(inputs, len(members), targets)
