"""Shared by the folding passes: scale and shift the output channels of a convolution."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from alcs_onnx.graph.editor import GraphEditor
from alcs_onnx.graph.model import Node

Float64 = npt.NDArray[np.float64]


def constant_conv(editor: GraphEditor, node: Node | None) -> bool:
    """Whether `node` is a Conv or ConvTranspose with constant floating-point weights."""
    if node is None or not node.is_op("Conv", "ConvTranspose"):
        return False
    weight = editor.constant(node.input(1))
    bias = editor.constant(node.input(2))
    return (
        weight is not None
        and weight.ndim >= 3
        and weight.dtype.kind == "f"
        and (bias is not None or not node.input(2))
    )


def out_channels(editor: GraphEditor, node: Node) -> int:
    """Output channels of a convolution that `constant_conv` accepts."""
    weight = editor.initializers[node.inputs[1]]
    if node.is_op("ConvTranspose"):
        return int(weight.shape[1]) * node.int_attribute("group", 1)
    return int(weight.shape[0])


def apply_affine(editor: GraphEditor, node: Node, scale: Float64, shift: Float64) -> Node:
    """Make `node` compute scale * conv(x) + shift, both [M], in float64 arithmetic.

        s * (W x + b) + t = (s W) x + (s b + t)

    New initializers are made, so that weights shared with other nodes keep their values.
    """
    weight = editor.initializers[node.inputs[1]]
    bias = editor.constant(node.input(2))
    dtype = weight.dtype
    old_bias = np.zeros(len(scale)) if bias is None else bias.astype(np.float64).reshape(-1)
    inputs = list(node.inputs[:2])
    if np.any(scale != 1):
        inputs[1] = _store(editor, inputs[1], f"{node.name}.weight", _scaled(node, weight, scale))
    inputs.append(
        _store(
            editor,
            node.input(2),
            f"{node.name}.bias",
            (old_bias * scale + shift).astype(dtype),
        )
    )
    return editor.update_node(node, inputs=tuple(inputs))


def _scaled(node: Node, weight: npt.NDArray[Any], scale: Float64) -> npt.NDArray[Any]:
    wide = weight.astype(np.float64)
    if node.is_op("Conv"):
        wide *= scale.reshape(-1, *(1,) * (weight.ndim - 1))
    else:  # ConvTranspose: [C, M/group, *kernel], inputs of one conv group adjacent
        group = node.int_attribute("group", 1)
        grouped = wide.reshape(group, -1, *weight.shape[1:])
        grouped *= scale.reshape(group, 1, -1, *(1,) * (weight.ndim - 2))
    return wide.astype(weight.dtype)


def _store(editor: GraphEditor, old: str, fallback: str, array: npt.NDArray[Any]) -> str:
    """Overwrite an initializer that only one node reads, else add one."""
    alone = old and len(editor.consumers(old)) == 1 and not editor.is_output(old)
    if alone and editor.initializers[old].shape == array.shape:
        editor.initializers[old] = array
        return old
    return editor.add_initializer(fallback, array)
