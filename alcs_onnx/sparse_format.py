"""The stored form of a SimdSparseConv weight, and its numpy pack and unpack.

The weight of a convolution is a matrix per conv group: M/group rows (output channels) by
K = C/group * prod(kernel) columns. A *block* is `simd_group` (g) adjacent rows of one conv
group; the last block of EACH conv group is padded with zero rows. A *group* (ALCS section
III-B, "SIMD group") is the g weights of one block at one column: it is stored whole or not
at all. Blocks are numbered over all conv groups, and a stored group sits at

    position = block * K + column,    column = (c * kh + r) * kw + s.

Positions are strictly increasing, so they hold what the paper's grouped CSR holds in a row
pointer and a column index, and are easy to validate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from alcs_onnx.errors import AlcsError
from alcs_onnx.types import FloatArray, GroupMask, Shape, WeightMask

OP_DOMAIN = "ai.alcs"
OP_CONV = "SimdSparseConv"
OP_CONV_ADD = "SimdSparseConvAdd"
OP_MAX_POOL = "SimdMaxPool"
OP_VERSION = 1

#: Group sizes tried when a layer's own has to be found or reduced, largest first.
SIMD_GROUPS: tuple[int, ...] = (16, 8, 4, 2, 1)

#: Relative time per stored weight, by group size: each loaded input vector feeds g
#: multiply-adds, so small groups are bound by loads.
RELATIVE_COST: Mapping[int, float] = {16: 1.0, 8: 1.0, 4: 1.06, 2: 1.45, 1: 2.2}

Int32Array = npt.NDArray[np.int32]

_Scalar = TypeVar("_Scalar", bound=np.generic)

_MAX_POSITIONS = 2**31 - 1


@dataclass(frozen=True, eq=False)
class SparseWeights:
    """The stored groups of one convolution weight.

    `values` is [nnz, simd_group] float32, `positions` is [nnz] int32. `columns` is K, the
    columns of one conv group's matrix; `out_channels` is M over all conv groups.
    """

    values: FloatArray
    positions: Int32Array
    out_channels: int
    group: int
    columns: int
    simd_group: int

    @property
    def blocks(self) -> int:
        """Blocks over all conv groups."""
        return block_count(self.out_channels, self.group, self.simd_group)

    @property
    def stored_groups(self) -> int:
        """Groups that are stored, nnz."""
        return int(self.positions.size)

    @property
    def group_count(self) -> int:
        """Groups of the dense layer: blocks * columns."""
        return self.blocks * self.columns

    @property
    def density(self) -> float:
        """Stored groups / all groups; 0 for a layer without any weight."""
        return self.stored_groups / self.group_count if self.group_count else 0.0


def block_count(out_channels: int, group: int, simd_group: int) -> int:
    """Blocks of `simd_group` rows over all conv groups: group * ceil(M / group / g)."""
    return group * -(-(out_channels // group) // simd_group)


def largest_fitting(rows: int, simd_group: int) -> int:
    """The largest of `SIMD_GROUPS` that is at most `simd_group` and at most `rows`."""
    if rows >= simd_group:
        return simd_group
    return next(g for g in SIMD_GROUPS if g <= max(1, min(rows, simd_group)))


def _check_geometry(shape: Shape, group: int, simd_group: int) -> None:
    if len(shape) < 2 or min(shape) < 1:
        raise AlcsError(f"a convolution weight of shape {list(shape)} cannot be packed")
    if group < 1 or shape[0] % group:
        raise AlcsError(f"{shape[0]} output channels do not divide into {group} conv groups")
    if simd_group < 1:
        raise AlcsError(f"a SIMD group of {simd_group} weights is not possible")
    if block_count(shape[0], group, simd_group) * prod(shape[1:]) > _MAX_POSITIONS:
        raise AlcsError(f"a weight of shape {list(shape)} has too many positions for int32")


def blocks_view(weight: npt.NDArray[_Scalar], group: int, simd_group: int) -> npt.NDArray[_Scalar]:
    """The weight as [blocks, columns, simd_group], missing rows padded with zeros.

    `weight` is [M, C/group, *kernel] of any element type; the result is a view when no row
    has to be padded, otherwise a copy.
    """
    _check_geometry(weight.shape, group, simd_group)
    rows = weight.shape[0] // group
    columns = prod(weight.shape[1:])
    matrix = weight.reshape(group, rows, columns)
    padded = -(-rows // simd_group) * simd_group
    if padded != rows:
        matrix = np.pad(matrix, ((0, 0), (0, padded - rows), (0, 0)))
    return matrix.reshape(-1, simd_group, columns).transpose(0, 2, 1)


def _from_blocks(
    blocks: npt.NDArray[_Scalar], weight_shape: Shape, group: int
) -> npt.NDArray[_Scalar]:
    """Inverse of `blocks_view`: drop the padded rows and restore [M, C/group, *kernel]."""
    _, columns, _ = blocks.shape
    rows = weight_shape[0] // group
    matrix = blocks.transpose(0, 2, 1).reshape(group, -1, columns)
    return np.ascontiguousarray(matrix[:, :rows]).reshape(weight_shape)


def pack(
    weight: FloatArray, group: int, simd_group: int, keep: GroupMask | None = None
) -> SparseWeights:
    """Store a weight [M, C/group, *kernel] in groups of `simd_group`.

    With the group mask `keep` ([blocks, columns]) exactly its groups are stored, zeros
    included, and weights elsewhere are dropped. Without it a group is stored when any of its
    weights is non-zero. Raises `AlcsError` for an impossible geometry or a `keep` of the
    wrong shape.
    """
    blocks = blocks_view(weight, group, simd_group)
    if keep is None:
        stored = weight_mask_to_group_mask(np.not_equal(weight, 0), group, simd_group)
    else:
        stored = np.asarray(keep, dtype=np.bool_)
    if stored.shape != blocks.shape[:2]:
        raise AlcsError(
            f"the keep mask has shape {list(stored.shape)}, "
            f"the weight needs {list(blocks.shape[:2])} (blocks, columns)"
        )
    return SparseWeights(
        values=np.ascontiguousarray(blocks[stored], dtype=np.float32),
        positions=np.flatnonzero(stored).astype(np.int32),
        out_channels=weight.shape[0],
        group=group,
        columns=blocks.shape[1],
        simd_group=simd_group,
    )


def unpack(sparse: SparseWeights, weight_shape: Shape) -> FloatArray:
    """The dense weight [M, C/group, *kernel], zero where nothing is stored.

    Raises `AlcsError` when `sparse` is invalid or is not of `weight_shape`.
    """
    validate(sparse)
    if weight_shape[0] != sparse.out_channels or prod(weight_shape[1:]) != sparse.columns:
        raise AlcsError(
            f"stored weights of {sparse.out_channels} x {sparse.columns} do not fit "
            f"a weight of shape {list(weight_shape)}"
        )
    flat = np.zeros((sparse.group_count, sparse.simd_group), dtype=np.float32)
    flat[sparse.positions] = sparse.values
    blocks = flat.reshape(sparse.blocks, sparse.columns, sparse.simd_group)
    return _from_blocks(blocks, tuple(weight_shape), sparse.group)


def validate(sparse: SparseWeights) -> None:
    """Refuse weights that break the contract, with the first broken rule; `AlcsError`."""
    if min(sparse.out_channels, sparse.group, sparse.columns, sparse.simd_group) < 1:
        raise AlcsError("stored weights: sizes must be positive")
    if sparse.out_channels % sparse.group:
        raise AlcsError(
            f"stored weights: {sparse.out_channels} output channels do not divide into "
            f"{sparse.group} conv groups"
        )
    if sparse.group_count > _MAX_POSITIONS:
        raise AlcsError("stored weights: too many positions for int32")
    positions = sparse.positions
    if positions.ndim != 1 or positions.dtype != np.int32:
        raise AlcsError("stored weights: positions must be a vector of int32")
    if sparse.values.shape != (positions.size, sparse.simd_group):
        raise AlcsError(
            f"stored weights: values have shape {list(sparse.values.shape)}, "
            f"expected [{positions.size}, {sparse.simd_group}]"
        )
    if not positions.size:
        return
    if np.any(positions[1:] <= positions[:-1]):
        raise AlcsError("stored weights: positions are not strictly increasing")
    if positions[0] < 0 or positions[-1] >= sparse.group_count:
        raise AlcsError(f"stored weights: a position lies outside 0..{sparse.group_count - 1}")


def group_mask_to_weight_mask(
    keep: GroupMask, weight_shape: Shape, group: int, simd_group: int
) -> WeightMask:
    """Spread a mask over groups [blocks, columns] to the weights [M, C/group, *kernel]."""
    _check_geometry(tuple(weight_shape), group, simd_group)
    expected = (block_count(weight_shape[0], group, simd_group), prod(weight_shape[1:]))
    if keep.shape != expected:
        raise AlcsError(
            f"the keep mask has shape {list(keep.shape)}, the weight needs {list(expected)}"
        )
    blocks = np.broadcast_to(keep[:, :, None], (*expected, simd_group))
    return _from_blocks(blocks, tuple(weight_shape), group)


def weight_mask_to_group_mask(keep: WeightMask, group: int, simd_group: int) -> GroupMask:
    """The groups [blocks, columns] in which a mask over weights has any."""
    return np.asarray(blocks_view(keep, group, simd_group).any(axis=2), np.bool_)


def find_simd_group(weight: FloatArray, group: int, candidates: Sequence[int] = SIMD_GROUPS) -> int:
    """The group size that runs a weight's zeros fastest, to take up another tool's sparsity.

    Minimises stored weights * relative cost, padding included: a pattern made in groups of g
    stores no zeros at g and below, many above. Ties go to the larger group, and a group never
    exceeds the rows of a conv group.
    """
    rows = weight.shape[0] // group
    best, best_cost = 1, float("inf")
    for g in sorted({g for g in candidates if g <= rows}, reverse=True):
        stored = np.count_nonzero(weight_mask_to_group_mask(weight != 0, group, g)) * g
        # Taller than the table's blocks are cut into such.
        relative = RELATIVE_COST.get(g, min(RELATIVE_COST.values()))
        if stored * relative < best_cost:
            best, best_cost = g, stored * relative
    return best
