"""The stored form of a QuantSparseConv weight: codes of few bits and relative indices.

It holds what `sparse_format` holds, in the space that ADMM-NN-S counts: the difference to the
index before, with a dummy zero weight where it is too large (section 3.1), at the index bits of
the least overall storage (section 7.1). What is indexed here is a group of `simd_group` (g)
weights, so that g weights share an index.

* `codes`: the levels of all stored groups, `bits` bits each, g to a group;
  level = first_level + level_step * code, and the weight is level * scale.
* `gaps`: how many positions are left out before each stored group, `index_bits` bits each:
  position[i] = position[i - 1] + 1 + gap[i], with position[-1] = -1.
* A gap of 2^index_bits or more is bridged by *dummy* groups: their own gap is the largest one
  and all their weights are level 0. With 0 index bits every gap is 0 and every position up to
  the last is stored.

Both are streams of bits in little-endian order: number i is in bits [i * n, (i + 1) * n), bit b
of a stream is bit b % 8 of byte b // 8, and what is left of the last byte is zero. Lanes that
pad the last block of a conv group mean nothing: they hold level 0 where it exists, else code 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, prod

import numpy as np
import numpy.typing as npt

from alcs_onnx.errors import AlcsError
from alcs_onnx.sparse_format import Int32Array, SparseWeights, block_count, pack
from alcs_onnx.types import BoolArray, Codebook, FloatArray, GroupMask, IntArray, QuantizedWeight

OP_QUANT_CONV = "QuantSparseConv"
OP_QUANT_CONV_ADD = "QuantSparseConvAdd"

MAX_BITS = 8
MAX_INDEX_BITS = 32
#: Widths of a relative index that are tried, in bits. The largest bridges any gap.
INDEX_WIDTHS: tuple[int, ...] = tuple(range(MAX_INDEX_BITS + 1))

ByteArray = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class PackedWeights:
    """The stored groups of one quantized convolution weight.

    `codes` has ceil(stored * simd_group * bits / 8) bytes, `gaps` ceil(stored * index_bits / 8);
    `stored` counts dummies. `scales` is float32, [1] for the layer or [M] for each output
    channel. `columns` is K, the columns of one conv group's matrix; `out_channels` is M.
    """

    codes: ByteArray
    gaps: ByteArray
    scales: FloatArray
    bits: int
    index_bits: int
    stored: int
    first_level: int
    level_step: int
    out_channels: int
    group: int
    columns: int
    simd_group: int

    @property
    def group_count(self) -> int:
        """Groups of the dense layer: blocks * columns."""
        return block_count(self.out_channels, self.group, self.simd_group) * self.columns

    @property
    def weight_bytes(self) -> int:
        """Bytes of codes, gaps and scales in a file."""
        return self.codes.nbytes + self.gaps.nbytes + self.scales.nbytes


def _zero_code(levels: Codebook) -> int | None:
    code, rest = divmod(-levels.first, levels.step)
    return code if rest == 0 and 0 <= code < 2**levels.bits else None


def write_bits(numbers: npt.NDArray[np.integer], bits: int) -> ByteArray:
    """A vector of numbers in [0, 2^bits), `bits` (0..32) bits each, as a stream of bytes."""
    word = np.dtype("<u1" if bits <= 8 else "<u4")
    parts = numbers.astype(word)[:, None].view(np.uint8)
    return np.packbits(np.unpackbits(parts, axis=1, bitorder="little")[:, :bits], bitorder="little")


def read_bits(stream: ByteArray, count: int, bits: int) -> IntArray:
    """The first `count` numbers of `bits` (0..32) bits each, [count]."""
    spread = np.unpackbits(stream, count=count * bits, bitorder="little").reshape(count, bits)
    whole = np.zeros((count, 4), dtype=np.uint8)
    read = np.packbits(spread, axis=1, bitorder="little")
    whole[:, : read.shape[1]] = read
    return whole.view("<u4")[:, 0].astype(np.int64)


@dataclass(frozen=True)
class IndexedGroups:
    """What `count` groups with relative indices take, by the width of an index.

    `group_bits` are the bits of a group's weights, g * bits. `dummies` are the dummy groups at
    each of `INDEX_WIDTHS`; without a `zero_level` there is nothing to fill them with.
    """

    count: int
    group_bits: int
    dummies: tuple[int, ...]
    zero_level: bool = True

    @classmethod
    def at(
        cls, positions: npt.NDArray[np.integer], group_bits: int, *, zero_level: bool = True
    ) -> IndexedGroups:
        """Groups at strictly rising `positions` [n]."""
        return cls(positions.size, group_bits, dummy_groups(positions), zero_level)

    def possible(self, width: int) -> bool:
        """Whether an index of `width` bits reaches every group, over dummies where there may be."""
        return self.zero_level or not self.dummies[width]

    def bits(self, width: int) -> int:
        """Bits of all groups, dummies and indices of `width` bits."""
        return (self.count + self.dummies[width]) * (self.group_bits + width)


def dummy_groups(positions: npt.NDArray[np.integer]) -> tuple[int, ...]:
    """Dummies that strictly rising positions need, for each of `INDEX_WIDTHS`."""
    gaps = _gaps(positions)
    return tuple(int((gaps >> width).sum()) for width in INDEX_WIDTHS)


def best_index_bits(stream: IndexedGroups) -> int:
    """The width of an index at which these groups take the least; of equals fewer dummies."""
    possible = (width for width in INDEX_WIDTHS if stream.possible(width))
    return min(possible, key=lambda width: (stream.bits(width), stream.dummies[width]))


def _gaps(positions: npt.NDArray[np.integer]) -> IntArray:
    return np.asarray(np.diff(positions, prepend=-1) - 1, dtype=np.int64)


def pack_quantized(
    weight: QuantizedWeight, group: int, simd_group: int, keep: GroupMask | None = None
) -> PackedWeights:
    """Store the groups that are not all zero, and of those the ones that `keep` allows.

    `keep` is [blocks, columns] as in `sparse_format.pack`. Raises `AlcsError` for a level that
    the codebook does not have (0 included where it has none, inside a stored group), for
    scales that do not fit, and where the geometry is impossible.
    """
    levels = weight.codebook
    if weight.scale.shape not in ((1,), weight.levels.shape[:1]):
        raise AlcsError(
            f"quantized weights: {list(weight.scale.shape)} scales for "
            f"{weight.levels.shape[0]} output channels"
        )
    sparse = pack(weight.levels.astype(np.float32), group, simd_group, keep)
    lanes = sparse.values.astype(np.int64)
    found = lanes.any(axis=1)
    lanes, positions = lanes[found], sparse.positions[found]
    codes = _codes(lanes, _real_lanes(sparse, positions), levels)
    zero = _zero_code(levels)
    stream = IndexedGroups.at(positions, simd_group * levels.bits, zero_level=zero is not None)
    index_bits = best_index_bits(stream)
    gaps, owners = _bridged(positions, index_bits)
    stored = np.full((gaps.size, simd_group), 0 if zero is None else zero, dtype=np.uint8)
    stored[owners] = codes
    packed = PackedWeights(
        codes=write_bits(stored.reshape(-1), levels.bits),
        gaps=write_bits(gaps, index_bits),
        scales=np.asarray(weight.scale, dtype=np.float32),
        bits=levels.bits,
        index_bits=index_bits,
        stored=int(gaps.size),
        first_level=levels.first,
        level_step=levels.step,
        out_channels=sparse.out_channels,
        group=group,
        columns=sparse.columns,
        simd_group=simd_group,
    )
    validate_packed(packed)
    return packed


def _codes(lanes: IntArray, real: BoolArray, levels: Codebook) -> IntArray:
    """The code of every level [n, g]; lanes that are padding get code 0 or that of level 0."""
    codes, rest = np.divmod(lanes - levels.first, levels.step)
    bad = real & ((rest != 0) | (codes < 0) | (codes >= levels.count))
    if bad.any():
        raise AlcsError(
            f"quantized weights: {lanes[bad][0]} is no level of '{levels.name}', "
            "and a group that holds it would have to be stored"
        )
    padding = _zero_code(levels) or 0
    return np.where(real, codes, padding)


def _real_lanes(geometry: SparseWeights | PackedWeights, positions: Int32Array) -> BoolArray:
    """Which lanes [n, g] of the groups at `positions` are output channels, not padding."""
    return _channels(geometry, positions) >= 0


def _channels(geometry: SparseWeights | PackedWeights, positions: Int32Array) -> IntArray:
    """The output channel of every lane [n, g] of the groups at `positions`; -1 for padding."""
    rows, g = geometry.out_channels // geometry.group, geometry.simd_group
    conv_group, block = np.divmod(positions.astype(np.int64) // geometry.columns, -(-rows // g))
    row = block[:, None] * g + np.arange(g)
    return np.where(row < rows, conv_group[:, None] * rows + row, -1)


def _bridged(positions: Int32Array, index_bits: int) -> tuple[IntArray, IntArray]:
    """The gaps of all stored groups, and where the groups at `positions` are among them."""
    gaps = _gaps(positions)
    owners = np.cumsum((gaps >> index_bits) + 1) - 1
    stored = np.full(int(owners[-1]) + 1 if owners.size else 0, 2**index_bits - 1, dtype=np.int64)
    stored[owners] = gaps & (2**index_bits - 1)
    return stored, owners


def unpack_levels(packed: PackedWeights) -> tuple[Int32Array, IntArray]:
    """Positions [n] and levels [n, g] of the groups that hold a weight other than zero.

    Lanes of padding are 0. Raises `AlcsError` when `packed` is invalid.
    """
    validate_packed(packed)
    positions = _positions(packed).astype(np.int32)
    codes = read_bits(packed.codes, packed.stored * packed.simd_group, packed.bits)
    levels = packed.first_level + packed.level_step * codes.reshape(-1, packed.simd_group)
    levels = np.where(_real_lanes(packed, positions), levels, 0)
    found = levels.any(axis=1)
    return positions[found], levels[found]


def unpack_quantized(packed: PackedWeights) -> SparseWeights:
    """The same weights as SimdSparseConv stores them; `AlcsError` when `packed` is invalid."""
    positions, levels = unpack_levels(packed)
    channels = _channels(packed, positions)
    scales = np.broadcast_to(packed.scales, packed.out_channels)[np.maximum(channels, 0)]
    return SparseWeights(
        values=levels.astype(np.float32) * scales,
        positions=positions,
        out_channels=packed.out_channels,
        group=packed.group,
        columns=packed.columns,
        simd_group=packed.simd_group,
    )


def _positions(packed: PackedWeights) -> IntArray:
    gaps = read_bits(packed.gaps, packed.stored, packed.index_bits)
    return np.asarray(np.cumsum(gaps + 1) - 1, dtype=np.int64)


def validate_packed(packed: PackedWeights) -> None:
    """Refuse weights that break the contract, with the first broken rule; `AlcsError`."""
    if min(packed.out_channels, packed.group, packed.columns, packed.simd_group) < 1:
        raise AlcsError("packed weights: sizes must be positive")
    if packed.out_channels % packed.group:
        raise AlcsError(
            f"packed weights: {packed.out_channels} output channels do not divide into "
            f"{packed.group} conv groups"
        )
    if packed.group_count > np.iinfo(np.int32).max:
        raise AlcsError("packed weights: too many positions for int32")
    for name, low, high in (
        ("bits", 1, MAX_BITS),
        ("index_bits", 0, MAX_INDEX_BITS),
        ("stored", 0, packed.group_count),
        ("first_level", -128, 127),
        ("level_step", 1, 255),
    ):
        value = getattr(packed, name)
        if not low <= value <= high:
            raise AlcsError(f"packed weights: {name} is {value}, expected {low} to {high}")
    _check_stream("codes", packed.codes, packed.stored * packed.simd_group * packed.bits)
    _check_stream("gaps", packed.gaps, packed.stored * packed.index_bits)
    if packed.scales.dtype != np.float32 or packed.scales.shape not in (
        (1,),
        (packed.out_channels,),
    ):
        raise AlcsError(
            f"packed weights: {prod(packed.scales.shape)} scales for {packed.out_channels} "
            "output channels"
        )
    if not all(map(isfinite, packed.scales)):
        raise AlcsError("packed weights: a scale is not a finite number")
    positions = _positions(packed)
    if positions.size and positions[-1] >= packed.group_count:
        raise AlcsError(f"packed weights: a position lies outside 0..{packed.group_count - 1}")


def _check_stream(name: str, stream: ByteArray, bits: int) -> None:
    expected = -(-bits // 8)
    if stream.dtype != np.uint8 or stream.shape != (expected,):
        raise AlcsError(
            f"packed weights: {name} are {stream.dtype.name} {list(stream.shape)}, "
            f"expected uint8 [{expected}]"
        )
    if bits % 8 and int(stream[-1]) >> bits % 8:
        raise AlcsError(f"packed weights: {name} end in bits that are not zero")
