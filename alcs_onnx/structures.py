"""Structures of sparsity: which weights are kept or removed together.

Each comes with the grouping that importance scores need and the Euclidean projection onto
the weights that have only the kept groups. Weights are [M, C/group, *kernel] throughout.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from alcs_onnx.errors import AlcsError
from alcs_onnx.sparse_format import (
    block_count,
    blocks_view,
    group_mask_to_weight_mask,
    largest_fitting,
)
from alcs_onnx.types import BoolArray, ConvLayer, FloatArray


class Structure(Protocol):
    """One way to group the weights of a layer. Masks are bool, True where kept."""

    name: str

    def mask_shape(self, layer: ConvLayer) -> tuple[int, int]:
        """Shape of a keep mask of `layer`."""
        ...

    def grouped(self, weight: FloatArray, layer: ConvLayer) -> npt.NDArray[Any]:
        """The weights as [*mask_shape, members], missing members as zeros."""
        ...

    def weight_mask(self, keep: BoolArray, layer: ConvLayer) -> BoolArray:
        """`keep` spread to the shape of the weight."""
        ...

    def project(self, weight: FloatArray, keep: BoolArray, layer: ConvLayer) -> FloatArray:
        """The nearest weight (least squares) that has only the kept groups."""
        ...


class SimdStructure:
    """Groups of `simd_group` adjacent output channels at one column (ALCS section III-B).

    A mask is [blocks, columns], the blocks of all conv groups after one another. A layer
    whose conv groups have fewer rows than `simd_group` has smaller groups, as it has when
    it is written: `members`.
    """

    name = "simd"

    def __init__(self, simd_group: int) -> None:
        if simd_group < 1:
            raise AlcsError(f"a SIMD group of {simd_group} weights is not possible")
        self.simd_group = simd_group

    def members(self, layer: ConvLayer) -> int:
        """Weights in a group of `layer`."""
        return largest_fitting(layer.rows_per_group, self.simd_group)

    def mask_shape(self, layer: ConvLayer) -> tuple[int, int]:
        """(blocks, columns) of `layer`."""
        return block_count(layer.out_channels, layer.group, self.members(layer)), layer.columns

    def grouped(self, weight: FloatArray, layer: ConvLayer) -> npt.NDArray[Any]:
        """The weights as [blocks, columns, members], missing rows as zeros."""
        return blocks_view(weight, layer.group, self.members(layer))

    def weight_mask(self, keep: BoolArray, layer: ConvLayer) -> BoolArray:
        """`keep` spread to the shape of the weight; `AlcsError` if it has another shape."""
        return group_mask_to_weight_mask(keep, layer.weight_shape, layer.group, self.members(layer))

    def project(self, weight: FloatArray, keep: BoolArray, layer: ConvLayer) -> FloatArray:
        """`weight` with zeros where `keep` is False: the sum of squares that are lost is
        that of the removed weights, and no other values of the kept ones lower it.
        """
        return np.where(self.weight_mask(keep, layer), weight, np.float32(0))


#: name -> what makes the structure for a SIMD group size. THE registration of structures.
STRUCTURES = {SimdStructure.name: SimdStructure}


def get_structure(name: str, simd_group: int) -> Structure:
    """The structure of that name; raises `AlcsError` for an unknown one."""
    if name not in STRUCTURES:
        raise AlcsError(f"structure '{name}' is not known: use {', '.join(sorted(STRUCTURES))}")
    return STRUCTURES[name](simd_group)
