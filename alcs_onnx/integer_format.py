"""The stored form of a QLinearSparseConv weight, and its numpy pack and unpack.

Integers are computed with four input channels at a time, a *word*, which is what dot-product
instructions take. Activations are [N, ceil(C/4), *spatial, 4], channels by four (NC4HW4), and what
is stored of a weight are blocks of `simd_group` (g) output channels by the four input channels of
a word, at one tap:

    values [nnz, g, 4] int8,    position = block * K + column,
    column = (c // 4 * kh + r) * kw + s

with K columns of words to a conv group. A depthwise convolution computes a word from the same word:
g is 4, each block is a word of its channels, and there is one weight for each, values [nnz, 4, 1].
Weights of channels that only fill the last word are 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from alcs_onnx.errors import AlcsError
from alcs_onnx.sparse_format import Int32Array
from alcs_onnx.types import BoolArray, Shape

OP_QLINEAR_CONV = "QLinearSparseConv"
OP_QLINEAR_CONV_ADD = "QLinearSparseConvAdd"
OP_PACK = "PackNC4HW4"
OP_UNPACK = "UnpackNC4HW4"
OP_WORD_POOL = "MaxPoolNC4HW4"

#: Channels of a word.
WORD = 4

Int8Array = npt.NDArray[np.int8]

_Scalar = TypeVar("_Scalar", bound=np.generic)


@dataclass(frozen=True)
class WordGeometry:
    """How the weight [M, C/group, *kernel] of one convolution is cut into blocks.

    Raises `AlcsError` where that is not possible: the channels of conv groups have to be whole
    words unless there is one group only or the convolution is depthwise, and `simd_group` a
    multiple of 4.
    """

    out_channels: int
    in_channels: int
    group: int
    kernel_shape: Shape
    simd_group: int

    def __post_init__(self) -> None:
        if min(self.out_channels, self.in_channels, self.group, self.simd_group) < 1:
            raise AlcsError("integer weights: sizes must be positive")
        reason = reason_no_words(self.out_channels, self.in_channels, self.group)
        if reason:
            raise AlcsError(f"integer weights: {reason}")
        if self.simd_group % WORD or (self.depthwise and self.simd_group != WORD):
            rule = "4 in a depthwise convolution" if self.depthwise else "a multiple of 4"
            raise AlcsError(f"integer weights: a block has {self.simd_group} rows, expected {rule}")
        if self.blocks * self.columns > np.iinfo(np.int32).max:
            raise AlcsError("integer weights: too many positions for int32")

    @property
    def depthwise(self) -> bool:
        """Whether each output channel reads one input channel, its own."""
        return is_depthwise(self.out_channels, self.in_channels, self.group)

    @property
    def bytes(self) -> int:
        """Weights of a row of a block: one for each input channel that it reads."""
        return 1 if self.depthwise else WORD

    @property
    def taps(self) -> int:
        """Positions of the kernel."""
        return prod(self.kernel_shape)

    @property
    def groups(self) -> int:
        """Conv groups, those of words in a depthwise convolution."""
        return words(self.out_channels) if self.depthwise else self.group

    @property
    def rows(self) -> int:
        """Output channels of each of `groups`, those included that only fill the last word."""
        return words(self.out_channels) * WORD // self.groups

    @property
    def columns(self) -> int:
        """Columns of words in each of `groups`."""
        return words(self.in_channels) // self.groups * self.taps

    @property
    def blocks(self) -> int:
        """Blocks over all `groups`."""
        return self.groups * -(-self.rows // self.simd_group)

    @property
    def weight_shape(self) -> Shape:
        """[M, C/group, *kernel]."""
        return (self.out_channels, self.in_channels // self.group, *self.kernel_shape)


@dataclass(frozen=True, eq=False)
class IntegerWeights:
    """The stored blocks of one weight: `values` int8 [nnz, g, bytes], `positions` int32 [nnz]."""

    geometry: WordGeometry
    values: Int8Array
    positions: Int32Array

    @property
    def density(self) -> float:
        """Stored blocks / all blocks."""
        return self.positions.size / (self.geometry.blocks * self.geometry.columns)


def words(channels: int) -> int:
    """Words that hold so many channels."""
    return -(-channels // WORD)


def is_depthwise(out_channels: int, in_channels: int, group: int) -> bool:
    """Whether a convolution is computed word by word."""
    return 1 < group == in_channels == out_channels


def reason_no_words(out_channels: int, in_channels: int, group: int) -> str:
    """Why a convolution cannot be computed with words; empty where it can."""
    if group == 1 or is_depthwise(out_channels, in_channels, group):
        return ""
    for name, count in (("input", in_channels), ("output", out_channels)):
        if count % (group * WORD):
            each = f"{count // group} {name} channels of each of {group} conv groups"
            return f"the {each} are no whole words of {WORD}"
    return ""


def pack_integers(
    levels: Int8Array, group: int, simd_group: int, keep: BoolArray | None = None
) -> IntegerWeights:
    """Store the blocks of `levels` [M, C/group, *kernel] that are not all zero.

    With the mask `keep` [blocks, columns] exactly its blocks are stored. Raises `AlcsError` for
    an impossible geometry or a `keep` of the wrong shape.
    """
    if levels.ndim < 3 or levels.dtype != np.int8:
        raise AlcsError(
            f"integer weights: {levels.dtype.name} {list(levels.shape)} is no int8 weight of a "
            "convolution"
        )
    shape = tuple(levels.shape)
    geometry = WordGeometry(shape[0], shape[1] * group, group, shape[2:], simd_group)
    cells = _cells(levels, geometry)
    stored = cells.any(axis=(2, 3)) if keep is None else keep
    if stored.shape != cells.shape[:2]:
        raise AlcsError(
            f"the keep mask has shape {list(stored.shape)}, the weight needs "
            f"{list(cells.shape[:2])} (blocks, columns of words)"
        )
    positions = np.flatnonzero(stored).astype(np.int32)
    return IntegerWeights(geometry, np.ascontiguousarray(cells[stored]), positions)


def _cells(levels: Int8Array, geometry: WordGeometry) -> Int8Array:
    """[blocks, columns, g, bytes] of [M, C/group, *kernel], zeros where channels are filled up."""
    g, n = geometry.simd_group, geometry.groups
    per_group = words(geometry.in_channels) // n * geometry.bytes
    padded = np.zeros((n * geometry.rows, per_group, geometry.taps), np.int8)
    padded[: levels.shape[0], : levels.shape[1]] = levels.reshape(*levels.shape[:2], -1)
    rows = padded.reshape(n, geometry.rows, per_group, geometry.taps)
    rows = np.pad(rows, ((0, 0), (0, -geometry.rows % g), (0, 0), (0, 0)))
    blocks = rows.reshape(geometry.blocks, g, -1, geometry.bytes, geometry.taps)
    return blocks.transpose(0, 2, 4, 1, 3).reshape(
        geometry.blocks, geometry.columns, g, geometry.bytes
    )


def unpack_integers(weights: IntegerWeights) -> tuple[Int8Array, BoolArray]:
    """The dense weight [M, C/group, *kernel], and which of its values are stored.

    Raises `AlcsError` when `weights` are invalid.
    """
    validate_integers(weights)
    geometry = weights.geometry
    shape = (geometry.blocks * geometry.columns, geometry.simd_group, geometry.bytes)
    flat, stored = np.zeros(shape, np.int8), np.zeros(shape, np.bool_)
    flat[weights.positions] = weights.values
    stored[weights.positions] = True
    return _dense(flat, geometry), _dense(stored, geometry)


def _dense(cells: npt.NDArray[_Scalar], geometry: WordGeometry) -> npt.NDArray[_Scalar]:
    """Inverse of `_cells`."""
    blocks = cells.reshape(
        geometry.blocks, -1, geometry.taps, geometry.simd_group, geometry.bytes
    ).transpose(0, 3, 1, 4, 2)
    rows = blocks.reshape(geometry.groups, -1, *blocks.shape[2:])[:, : geometry.rows]
    padded = rows.reshape(geometry.groups * geometry.rows, -1, geometry.taps)
    shape = geometry.weight_shape
    return np.ascontiguousarray(padded[: shape[0], : shape[1]]).reshape(shape)


def validate_integers(weights: IntegerWeights) -> None:
    """Refuse weights that break the contract, with the first broken rule; `AlcsError`."""
    geometry, positions = weights.geometry, weights.positions
    if positions.ndim != 1 or positions.dtype != np.int32:
        raise AlcsError("integer weights: positions must be a vector of int32")
    expected = (positions.size, geometry.simd_group, geometry.bytes)
    if weights.values.dtype != np.int8 or weights.values.shape != expected:
        raise AlcsError(
            f"integer weights: values are {weights.values.dtype.name} "
            f"{list(weights.values.shape)}, expected int8 {list(expected)}"
        )
    if not positions.size:
        return
    if np.any(positions[1:] <= positions[:-1]):
        raise AlcsError("integer weights: positions are not strictly increasing")
    last = geometry.blocks * geometry.columns - 1
    if positions[0] < 0 or positions[-1] > last:
        raise AlcsError(f"integer weights: a position lies outside 0..{last}")
