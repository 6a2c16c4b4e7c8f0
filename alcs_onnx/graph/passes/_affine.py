"""Shared by the folding passes: scale and shift the output channels of a convolution."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from alcs_onnx.graph.editor import GraphEditor
from alcs_onnx.graph.surgeon import Node

Float64 = npt.NDArray[np.float64]


def constant_conv(node: Node | None) -> bool:
    """Whether `node` is a Conv or ConvTranspose with constant floating-point weights."""
    if node is None or not node.is_op("Conv", "ConvTranspose"):
        return False
    weight = node.constant(1)
    return (
        weight is not None
        and weight.ndim >= 3
        and weight.dtype.kind == "f"
        and (node.constant(2) is not None or node.input(2) is None)
    )


def out_channels(node: Node) -> int:
    """Output channels of a convolution that `constant_conv` accepts."""
    weight = node.values(1)
    if node.is_op("ConvTranspose"):
        return int(weight.shape[1]) * node.int_attribute("group", 1)
    return int(weight.shape[0])


def apply_affine(editor: GraphEditor, node: Node, scale: Float64, shift: Float64) -> None:
    """Make `node` compute scale * conv(x) + shift, both [M], in float64 arithmetic.

        s * (W x + b) + t = (s W) x + (s b + t)

    New initializers are made: others may read the old ones, whose names keep their values.
    """
    weight, bias = node.values(1), node.constant(2)
    dtype = weight.dtype
    old_bias = np.zeros(len(scale)) if bias is None else bias.astype(np.float64).reshape(-1)
    if np.any(scale != 1):
        scaled = _scaled(node, weight, scale)
        node.inputs[1] = editor.add_constant(f"{node.name}.weight", scaled)
    shifted = (old_bias * scale + shift).astype(dtype)
    node.inputs = [*node.inputs[:2], editor.add_constant(f"{node.name}.bias", shifted)]


def _scaled(node: Node, weight: npt.NDArray[Any], scale: Float64) -> npt.NDArray[Any]:
    wide = weight.astype(np.float64)
    if node.is_op("Conv"):
        wide *= scale.reshape(-1, *(1,) * (weight.ndim - 1))
    else:  # ConvTranspose: [C, M/group, *kernel], inputs of one conv group adjacent
        group = node.int_attribute("group", 1)
        grouped = wide.reshape(group, -1, *weight.shape[1:])
        grouped *= scale.reshape(group, 1, -1, *(1,) * (weight.ndim - 2))
    return wide.astype(weight.dtype)
