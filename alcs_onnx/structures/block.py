"""Blocks of adjacent output channels by four input channels: what kernels of integers compute with.

    block  {X : at most n nonzero blocks X[ga:ga+g, 4i:4i+4, d]}

Dot-product instructions take four input channels at a time (`integer_format`).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from alcs_onnx.errors import AlcsError
from alcs_onnx.integer_format import WORD, words
from alcs_onnx.structures.base import Scalar
from alcs_onnx.structures.simd import SimdStructure
from alcs_onnx.types import ConvLayer, GroupMask, Shape, WeightMask


class BlockStructure(SimdStructure):
    """SIMD groups at four adjacent input channels of a conv group together, at one tap.

    A group mask is [blocks, words of channels x taps]. The last word of a conv group has as many
    channels as are left.
    """

    name = "block"

    def sized(self, simd_group: int) -> BlockStructure:
        """The structure of blocks of `simd_group` output channels."""
        return BlockStructure(simd_group)

    def mask_shape(self, layer: ConvLayer) -> Shape:
        """(blocks, words x taps) of `layer`."""
        blocks, _ = super().mask_shape(layer)
        return blocks, words(layer.weight_shape[1]) * _taps(layer)

    def grouped(self, weight: npt.NDArray[Scalar], layer: ConvLayer) -> npt.NDArray[Scalar]:
        """The weights as [blocks, words x taps, channels x members], missing ones as zeros."""
        columns = super().grouped(weight, layer)
        channels, members = layer.weight_shape[1], columns.shape[-1]
        apart = columns.reshape(len(columns), channels, _taps(layer), members)
        filled = np.pad(apart, ((0, 0), (0, -channels % WORD), (0, 0), (0, 0)))
        by_word = filled.reshape(len(columns), -1, WORD, _taps(layer), members)
        return by_word.transpose(0, 1, 3, 2, 4).reshape(*self.mask_shape(layer), WORD * members)

    def group_mask(self, keep: WeightMask, layer: ConvLayer) -> GroupMask:
        """The blocks with a weight that `keep` has."""
        return np.asarray(self.grouped(keep, layer).any(axis=-1), np.bool_)

    def weight_mask(self, keep: GroupMask, layer: ConvLayer) -> WeightMask:
        """`keep` spread to the shape of the weight; `AlcsError` if it has another shape."""
        if keep.shape != self.mask_shape(layer):
            raise AlcsError(
                f"the keep mask has shape {list(keep.shape)}, the weight needs "
                f"{list(self.mask_shape(layer))}"
            )
        channels = layer.weight_shape[1]
        by_word = keep.reshape(len(keep), -1, 1, _taps(layer))
        columns = np.repeat(by_word, WORD, axis=2).reshape(len(keep), -1, _taps(layer))
        own = columns[:, :channels].reshape(len(keep), -1)
        return super().weight_mask(own, layer)


def _taps(layer: ConvLayer) -> int:
    """Positions of the kernel."""
    return int(np.prod(layer.kernel_shape, dtype=np.int64))


#: What is registered; `get_structure` gives it the group size that is asked for.
BLOCK = BlockStructure(4)
