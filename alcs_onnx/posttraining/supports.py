"""Supports of the structures: which weights a layer keeps, by their size in scaled columns."""

from __future__ import annotations

from alcs_onnx.posttraining.admm import Support
from alcs_onnx.structures import Structure, largest_groups
from alcs_onnx.types import BoolArray, ConvLayer, FloatArray


def largest(
    structure: Structure, layer: ConvLayer, count: int, within: BoolArray | None = None
) -> Support:
    """The `count` groups of largest norm, as the Euclidean projection keeps them.

    Of the weights that are left `within` a mask in the shape of the weight.
    """

    def support(weights: FloatArray) -> BoolArray:
        shaped = weights.reshape(layer.weight_shape)
        keep = largest_groups(
            structure, shaped if within is None else shaped * within, layer, count
        )
        mask = structure.weight_mask(keep, layer)
        return (mask if within is None else mask & within).reshape(weights.shape)

    return support
