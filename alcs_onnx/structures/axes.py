"""Structures that are whole slices of the weight: filters, channels, columns, single weights.

The weight is seen as [conv groups, filters, channels, taps]. A structure names the axes that
number its groups; along the others a group extends. With one conv group these are the sets of
ADAM-ADMM sections 4.1 to 4.4 and ADMM-NN-S section 4.1:

    filter        {X : at most n nonzero X[a, :, :, :]}      rows of the GEMM matrix
    channel       {X : at most n nonzero X[:, b, :, :]}      runs of columns
    shape         {X : at most n nonzero X[:, b, c, d]}      columns
    unstructured  {X : at most n nonzero elements}
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt

from alcs_onnx.errors import AlcsError
from alcs_onnx.structures.base import Scalar, most_energy
from alcs_onnx.types import ConvLayer, DoubleArray, GroupMask, Shape, WeightMask

_GROUPS, _FILTERS, CHANNELS, _TAPS = range(4)


@dataclass(frozen=True)
class AxisStructure:
    """Groups numbered by `axes` of [conv groups, filters, channels, taps], conv groups first.

    A group mask has the sizes of these axes: [conv groups, filters] for filters, for example.
    `tall` tells whether the kept weights fill whole columns, which can be stored g = M.
    """

    name: str
    axes: tuple[int, ...]
    tall: bool = False
    has_group_size = False
    same_share = False

    @property
    def removes_filters(self) -> bool:
        """Where filters alone number the groups."""
        return self.axes == (_GROUPS, _FILTERS)

    def sized(self, simd_group: int) -> AxisStructure:
        """The same: these groups are as large as the layer makes them."""
        return self

    @property
    def full_matrix(self) -> bool:
        """Unless the groups are numbered by rows and by columns at once."""
        return _FILTERS not in self.axes or not {CHANNELS, _TAPS} & set(self.axes)

    def storage_group(self, layer: ConvLayer) -> int:
        """All rows of a conv group where columns are whole, single weights elsewhere."""
        return layer.rows_per_group if self.tall else 1

    def mask_shape(self, layer: ConvLayer) -> Shape:
        """Sizes of the axes that number the groups."""
        sizes = _sizes(layer)
        return tuple(sizes[axis] for axis in self.axes)

    def grouped(self, weight: npt.NDArray[Scalar], layer: ConvLayer) -> npt.NDArray[Scalar]:
        """The weights as [*mask_shape, members]; a view where the layout allows it."""
        others = [axis for axis in range(4) if axis not in self.axes]
        view = weight.reshape(_sizes(layer)).transpose(*self.axes, *others)
        return view.reshape(*self.mask_shape(layer), -1)

    def strongest(self, energy: DoubleArray, count: int) -> GroupMask:
        """The `count` groups of most energy."""
        return most_energy(energy, count)

    def group_mask(self, keep: WeightMask, layer: ConvLayer) -> GroupMask:
        """The groups with a weight that `keep` has."""
        return np.asarray(self.grouped(keep, layer).any(axis=-1), np.bool_)

    def weight_mask(self, keep: GroupMask, layer: ConvLayer) -> WeightMask:
        """`keep` spread to the shape of the weight; `AlcsError` if it has another shape."""
        expected = self.mask_shape(layer)
        if keep.shape != expected:
            raise AlcsError(
                f"the keep mask of '{layer.name}' has shape {list(keep.shape)}, "
                f"structure '{self.name}' needs {list(expected)}"
            )
        sizes = _sizes(layer)
        spread = keep.reshape([sizes[a] if a in self.axes else 1 for a in range(4)])
        return np.broadcast_to(spread, sizes).reshape(layer.weight_shape)


def _sizes(layer: ConvLayer) -> tuple[int, int, int, int]:
    channels = layer.in_channels // layer.group
    return layer.group, layer.rows_per_group, channels, prod(layer.kernel_shape)


FILTER = AxisStructure("filter", (_GROUPS, _FILTERS))
CHANNEL = AxisStructure("channel", (_GROUPS, CHANNELS), tall=True)
SHAPE = AxisStructure("shape", (_GROUPS, CHANNELS, _TAPS), tall=True)
UNSTRUCTURED = AxisStructure("unstructured", (_GROUPS, _FILTERS, CHANNELS, _TAPS))
