"""Groups of adjacent output channels at one column: ALCS section III-B."""

from __future__ import annotations

import numpy.typing as npt

from alcs_onnx.errors import AlcsError
from alcs_onnx.sparse_format import (
    block_count,
    blocks_view,
    group_mask_to_weight_mask,
    largest_fitting,
    weight_mask_to_group_mask,
)
from alcs_onnx.structures.base import Scalar, most_energy
from alcs_onnx.types import ConvLayer, DoubleArray, GroupMask, Shape, WeightMask


class SimdStructure:
    """Groups of `simd_group` adjacent output channels at one column (ALCS section III-B).

    A group mask is [blocks, columns], the blocks of all conv groups after one another. A layer
    whose conv groups have fewer rows than `simd_group` has smaller groups, as it has when
    it is written: `members`.
    """

    name = "simd"
    full_matrix = False
    has_group_size = True
    removes_filters = False
    same_share = False

    def __init__(self, simd_group: int) -> None:
        if simd_group < 1:
            raise AlcsError(f"a SIMD group of {simd_group} weights is not possible")
        self.simd_group = simd_group

    def sized(self, simd_group: int) -> SimdStructure:
        """The structure of groups of `simd_group`."""
        return SimdStructure(simd_group)

    def members(self, layer: ConvLayer) -> int:
        """Weights in a group of `layer`."""
        return largest_fitting(layer.rows_per_group, self.simd_group)

    def storage_group(self, layer: ConvLayer) -> int:
        """The same: a group is stored whole."""
        return self.members(layer)

    def mask_shape(self, layer: ConvLayer) -> Shape:
        """(blocks, columns) of `layer`."""
        return block_count(layer.out_channels, layer.group, self.members(layer)), layer.columns

    def grouped(self, weight: npt.NDArray[Scalar], layer: ConvLayer) -> npt.NDArray[Scalar]:
        """The weights as [blocks, columns, members], missing rows as zeros."""
        return blocks_view(weight, layer.group, self.members(layer))

    def strongest(self, energy: DoubleArray, count: int) -> GroupMask:
        """The `count` groups of most energy."""
        return most_energy(energy, count)

    def group_mask(self, keep: WeightMask, layer: ConvLayer) -> GroupMask:
        """The groups with a weight that `keep` has."""
        return weight_mask_to_group_mask(keep, layer.group, self.members(layer))

    def weight_mask(self, keep: GroupMask, layer: ConvLayer) -> WeightMask:
        """`keep` spread to the shape of the weight; `AlcsError` if it has another shape."""
        return group_mask_to_weight_mask(keep, layer.weight_shape, layer.group, self.members(layer))


#: What is registered; `get_structure` gives it the group size that is asked for.
SIMD = SimdStructure(4)
