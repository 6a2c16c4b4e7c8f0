"""How many bits the weights that stay take, with what says where they are.

The arithmetic of ADMM-NN-S sections 3.1, 3.2 and 7. A layer's weight is seen as its GEMM
matrix: out channels by K = C/group * prod(kernel) columns, the conv groups below each other.

Full matrices (filter, channel, shape and their combinations). In each conv group the kept
weights are kept rows x kept columns: for `shape` all rows x kept columns, for `filter` kept
rows x all columns. "Thus, indices are not needed" (section 3.2): nothing but the smaller
matrix is counted. Which rows and columns stayed is not in the paper's figures, for a pruned
filter is also a channel that the next layer lacks; `LayerStorage.list_bits` gives it apart.

CSR with relative indices (unstructured, simd). Groups of g weights are numbered in the order
block * K + column (g = 1: row by row). A stored group says how many positions lie between it
and the one before, in `index_bits` bits:

    position_i = position_{i-1} + 1 + gap_i,    position_{-1} = -1,    gap_i < 2^index_bits

(section 3.1's relative position is gap + 1, so 3 bits reach 8). A longer gap takes dummy groups
of zeros, each of which moves on by 2^index_bits positions: floor(gap / 2^index_bits) of them.
All of it takes (groups + dummies) * (g * bits + index_bits). The width is the one that makes
this least, of equals the one with fewer dummies ("we already optimized this index bit value to
minimize the overall storage"). At 0 bits every position up to the last is stored. Nothing is
stored after the last group.

CSR with absolute indices. The matrix of groups (blocks x K) is cut into tiles of 64 x 64, the
paper's "4K = 64 x 64 blocks". Each tile is a CSR matrix of its own: a stored group has its
column in the tile, 6 bits; the tile has the extents of its r <= 64 rows, r + 1 numbers of 12 bits
(section 3.1's 2n + r + 1 numbers). Extents do not fall, so 12 bits tell a full tile's 4096
from 0. Tiles without weights have their extents too.

The paper does not say how it counts absolute indices. Against its tables 7 to 12, with its
rounded numbers of weights in as few tiles as hold the layers:

* weights alone: all of them within rounding;
* relative: no total is below groups * (bits + index_bits); the rest, 2 to 41 % of the groups, are
  dummies, which depend on where the weights lie and cannot be had from their number;
* absolute: table 12 within rounding; this format is 1 to 12 % below the others. 7-bit columns fit
  table 8 within 1 % but not table 12. A 12-bit index for each weight, the other reading, is 15 to
  36 % above tables 7, 8 and 11 and 22 to 55 % below 9, 10 and 12;
* compression rates are dense bytes / relative bytes, except in table 7, whose rates (25.5x and
  11.2x) disagree with its own columns (9.3 MB / 0.51 MB and 2.3 M / 0.3 M).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alcs_onnx.errors import AlcsError
from alcs_onnx.packed_format import INDEX_WIDTHS, IndexedGroups, best_index_bits, dummy_groups
from alcs_onnx.sparse_format import block_count, weight_mask_to_group_mask
from alcs_onnx.structures import Structure
from alcs_onnx.types import ConvLayer, WeightMask

#: Bits of a weight and of a scale that are not quantized.
FLOAT_BITS = 32
#: Rows and columns of a tile with absolute indices, and the bits of a column and an extent in it.
TILE = 64
COLUMN_BITS = 6
EXTENT_BITS = 12


@dataclass(frozen=True)
class LayerStorage:
    """What one layer stores: `groups` groups of `simd_group` weights of `bits` bits.

    A full matrix has groups of one weight and no `dummies`. With indices, `dummies` are the
    groups of zeros that a relative index of each of `INDEX_WIDTHS` needs, and `extents` the
    numbers that absolute indices need beside the columns. Rows that pad the last SIMD block
    are stored, so groups * simd_group may exceed `kept_weights`.

    Not counted in any total, as in the paper: `list_bits`, one for each row and for each column
    of a full matrix that has lost some, and `scale_bits`, float32 each.
    """

    layer: str
    dense_weights: int
    kept_weights: int
    bits: int
    groups: int
    simd_group: int = 1
    dummies: tuple[int, ...] = ()
    extents: int = 0
    list_bits: int = 0
    scale_bits: int = 0
    #: Whether a weight of this many bits can be 0; dummies are impossible where it cannot.
    zero_level: bool = True

    @property
    def indexed(self) -> bool:
        """Whether the weights need indices."""
        return bool(self.dummies)

    @property
    def weight_bits(self) -> int:
        """The stored weights alone, without dummies."""
        return self.groups * self.simd_group * self.bits

    def relative_bits_at(self, index_bits: int) -> int:
        """Weights, dummies and relative indices of that width.

        A full matrix takes the same at every width. Raises `AlcsError` for a width that is not
        one of `INDEX_WIDTHS`, or that needs dummies where no weight can be 0.
        """
        if index_bits not in INDEX_WIDTHS:
            raise AlcsError(f"an index of {index_bits} bits is not possible: use 0 to 32")
        if not self.indexed:
            return self.weight_bits
        if not self.stream.possible(index_bits):
            raise AlcsError(
                f"layer '{self.layer}' has gaps too long for an index of {index_bits} bits, and "
                f"its {self.bits}-bit weights have no zero to fill them"
            )
        return self.stream.bits(index_bits)

    @property
    def stream(self) -> IndexedGroups:
        """The groups as a stream with relative indices, of a layer that is `indexed`."""
        return IndexedGroups(
            self.groups, self.simd_group * self.bits, self.dummies, self.zero_level
        )

    @property
    def index_bits(self) -> int | None:
        """The width of a relative index that takes the least; None for a full matrix."""
        return best_index_bits(self.stream) if self.indexed else None

    @property
    def relative_bits(self) -> int:
        """Weights, dummies and relative indices at the best width."""
        width = self.index_bits
        return self.weight_bits if width is None else self.relative_bits_at(width)

    @property
    def absolute_bits(self) -> int:
        """Weights and absolute indices."""
        columns = self.groups * COLUMN_BITS if self.indexed else 0
        return self.weight_bits + columns + self.extents * EXTENT_BITS


@dataclass(frozen=True)
class ModelStorage:
    """The layers of a model together; bytes are rounded up once, over all layers."""

    layers: tuple[LayerStorage, ...]

    @property
    def dense_weights(self) -> int:
        """Weights before pruning."""
        return sum(layer.dense_weights for layer in self.layers)

    @property
    def kept_weights(self) -> int:
        """Weights that stay."""
        return sum(layer.kept_weights for layer in self.layers)

    @property
    def weight_bytes(self) -> int:
        """Stored weights alone ("CONV Weight Store")."""
        return _bytes(layer.weight_bits for layer in self.layers)

    @property
    def relative_bytes(self) -> int:
        """With relative indices, each layer at its own best width."""
        return _bytes(layer.relative_bits for layer in self.layers)

    @property
    def absolute_bytes(self) -> int:
        """With absolute indices."""
        return _bytes(layer.absolute_bits for layer in self.layers)

    @property
    def list_bytes(self) -> int:
        """Lists of the rows and columns that stay in full matrices; in no other number."""
        return _bytes(layer.list_bits for layer in self.layers)

    @property
    def scale_bytes(self) -> int:
        """Scales of the quantized layers; in no other number."""
        return _bytes(layer.scale_bits for layer in self.layers)


def layer_storage(
    layer: ConvLayer,
    structures: Structure | Sequence[Structure],
    keep: WeightMask | None,
    bits: int,
    *,
    scales: int = 0,
    zero_level: bool = True,
) -> LayerStorage:
    """The storage of a layer whose weights were pruned by a structure, or by several in turn.

    Without `keep` all stay. `bits` are those of a weight and `scales` the number of its float32
    scales. `zero_level` False says that no level is 0 (binary), so that no dummies are possible.
    A weight that was quantized to 0 may be taken out of the mask (section 6). Where all
    structures leave full matrices, so does their combination; otherwise the weights are
    stored in the smallest groups that any of the others prunes. Raises `AlcsError` for a mask
    of another shape.
    """
    several = tuple(structures) if isinstance(structures, Sequence) else (structures,)
    if keep is None:
        return matrix_storage(layer, np.ones(layer.weight_shape, dtype=bool), bits, scales=scales)
    g = indexed_group(layer, several)
    if g is None:
        return matrix_storage(layer, keep, bits, scales=scales)
    return indexed_storage(layer, keep, bits, g, scales=scales, zero_level=zero_level)


def indexed_group(layer: ConvLayer, structures: Sequence[Structure]) -> int | None:
    """Rows of the groups that have an index each; None where full matrices are left."""
    loose = [s.storage_group(layer) for s in structures if not s.full_matrix]
    return min(loose) if loose else None


def matrix_storage(
    layer: ConvLayer, mask: WeightMask, bits: int, *, scales: int = 0
) -> LayerStorage:
    """Kept rows x kept columns of each conv group, without indices.

    `mask` has the shape of the weight. A row or a column stays where any of its weights does;
    masked weights where both stay are stored as zeros. So the input channels that a pruned
    layer before this one no longer computes may be masked as well.
    """
    _check(layer, mask, bits)
    matrices = mask.reshape(layer.group, layer.rows_per_group, layer.columns)
    rows, columns = matrices.any(axis=2), matrices.any(axis=1)
    listed = sum(
        kept.shape[1] * int(np.count_nonzero(~np.all(kept, axis=1))) for kept in (rows, columns)
    )
    return LayerStorage(
        layer=layer.name,
        dense_weights=layer.weight_count,
        kept_weights=int(np.count_nonzero(mask)),
        bits=bits,
        groups=int(rows.sum(axis=1) @ columns.sum(axis=1)),
        list_bits=listed,
        scale_bits=scales * FLOAT_BITS,
    )


def indexed_storage(
    layer: ConvLayer,
    mask: WeightMask,
    bits: int,
    simd_group: int = 1,
    *,
    scales: int = 0,
    zero_level: bool = True,
) -> LayerStorage:
    """Groups of `simd_group` adjacent rows at one column, with an index each.

    `mask` has the shape of the weight; a group is stored whole where any of its weights stays.
    The groups are those of `sparse_format.pack`.
    """
    _check(layer, mask, bits)
    positions = np.flatnonzero(weight_mask_to_group_mask(mask, layer.group, simd_group))
    blocks = block_count(layer.out_channels, layer.group, simd_group)
    return LayerStorage(
        layer=layer.name,
        dense_weights=layer.weight_count,
        kept_weights=int(np.count_nonzero(mask)),
        bits=bits,
        groups=int(positions.size),
        simd_group=simd_group,
        dummies=dummy_groups(positions),
        extents=_extents(blocks, layer.columns),
        scale_bits=scales * FLOAT_BITS,
        zero_level=zero_level,
    )


def _extents(rows: int, columns: int) -> int:
    """Extents of all tiles of a matrix: one more than rows in each."""
    return -(-columns // TILE) * (rows + -(-rows // TILE))


def _bytes(bits: Iterable[int]) -> int:
    return -(-sum(bits) // 8)


def _check(layer: ConvLayer, mask: npt.NDArray[np.bool_], bits: int) -> None:
    if mask.shape != layer.weight_shape:
        raise AlcsError(
            f"the mask of '{layer.name}' has shape {list(mask.shape)}, "
            f"its weight {list(layer.weight_shape)}"
        )
    if not 1 <= bits <= FLOAT_BITS:
        raise AlcsError(f"weights of {bits} bits are not possible: use 1 to {FLOAT_BITS}")
