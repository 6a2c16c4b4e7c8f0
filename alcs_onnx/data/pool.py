"""The pictures that a source offers, and those of them that are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from alcs_onnx.data.samples import IndexedSamples
from alcs_onnx.types import BoolArray, IntArray


@dataclass(frozen=True, eq=False)
class Chosen:
    """Pictures that were read.

    names: of each, in words.
    constant: which of them are the same pixel throughout.
    notes: what was done to them, for the user.
    """

    samples: IndexedSamples
    names: Sequence[str]
    constant: BoolArray
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Pool:
    """`count` pictures of `source`; `read` reads those of the given numbers, in their order.

    `strata` are the classes of the pictures, to choose evenly from: other than labels they need
    not be those of the model.
    """

    source: str
    count: int
    read: Callable[[IntArray], Chosen]
    strata: IntArray | None = None
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
