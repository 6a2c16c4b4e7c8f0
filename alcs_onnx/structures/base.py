"""What a structure of sparsity is, and the projection that all of them share."""

from __future__ import annotations

from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from alcs_onnx.errors import AlcsError
from alcs_onnx.types import (
    ConvLayer,
    DoubleArray,
    FloatArray,
    GroupMask,
    Shape,
    WeightMask,
)

Scalar = TypeVar("Scalar", bound=np.generic)


class Structure(Protocol):
    """One way to group the weights of a layer; each group is kept or removed as a whole.

    Weights are [M, C/group, *kernel]. A group mask has a value for each group, a weight mask one
    for each weight.
    """

    @property
    def name(self) -> str:
        """What it is registered as."""
        ...

    @property
    def full_matrix(self) -> bool:
        """Whether the kept weights of a conv group are whole rows x whole columns.

        Then they form a smaller matrix and need no indices (ADMM-NN-S section 3.2), and so do
        those that several such structures leave together.
        """
        ...

    @property
    def has_group_size(self) -> bool:
        """Whether groups have the SIMD group size, and `sized` makes a difference."""
        ...

    @property
    def removes_filters(self) -> bool:
        """Whether each group is a whole filter.

        Then the filter's bias goes with its weights, and so does what only its channel feeds
        (ADMM-NN-S section 3.2). Masks of such a structure are [conv groups, filters].
        """
        ...

    @property
    def same_share(self) -> bool:
        """Whether every layer keeps the same share, and not every number of groups is possible."""
        ...

    def sized(self, simd_group: int) -> Structure:
        """This structure for groups of `simd_group`; itself where groups have no such size."""
        ...

    def mask_shape(self, layer: ConvLayer) -> Shape:
        """Shape of a group mask of `layer`."""
        ...

    def grouped(self, weight: npt.NDArray[Scalar], layer: ConvLayer) -> npt.NDArray[Scalar]:
        """The weights, or a mask of them, as [*mask_shape, members]; missing members as zeros."""
        ...

    def weight_mask(self, keep: GroupMask, layer: ConvLayer) -> WeightMask:
        """`keep` spread to the shape of the weight; `AlcsError` if it has another shape."""
        ...

    def strongest(self, energy: DoubleArray, count: int) -> GroupMask:
        """The groups that the projection onto `count` of them keeps, by the energy of each.

        `energy` has the shape of a group mask.
        """
        ...

    def group_mask(self, keep: WeightMask, layer: ConvLayer) -> GroupMask:
        """The groups with a weight that `keep` has; of a `weight_mask` the mask it came from."""
        ...

    def storage_group(self, layer: ConvLayer) -> int:
        """The SIMD group size in which SimdSparseConv stores a layer of this structure.

        It is the tallest block of rows in which the kept weights leave no zeros.
        """
        ...


def largest_groups(
    structure: Structure, weight: FloatArray, layer: ConvLayer, count: int
) -> GroupMask:
    """The group mask of the Euclidean projection onto the weights with at most `count` groups.

    Keeps the groups of largest Frobenius norm, among equals the first (ADAM-ADMM eq. 5 with
    sections 4.1 to 4.4; ADMM-NN-S section 4.2, the solution of eq. 3), where they may be
    (`Structure.strongest`). The weights masked by it are the projection itself. Raises
    `AlcsError` for a negative count.
    """
    if count < 0:
        raise AlcsError(f"layer '{layer.name}': {count} groups cannot be kept")
    grouped = structure.grouped(weight, layer)
    energy = np.einsum("...g,...g->...", grouped, grouped, dtype=np.float64)
    return structure.strongest(energy, count)


def most_energy(energy: DoubleArray, count: int) -> GroupMask:
    """The `count` largest of all values, among equals the first; all where there are no more."""
    flat: DoubleArray = energy.reshape(-1)
    if count <= 0 or count >= flat.size:
        return np.full(energy.shape, count > 0)
    least = np.partition(flat, -count)[-count]
    keep: GroupMask = flat > least
    equal = np.flatnonzero(flat == least)
    keep[equal[: count - np.count_nonzero(keep)]] = True
    return keep.reshape(energy.shape)
