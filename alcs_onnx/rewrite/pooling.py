"""MaxPool -> SimdMaxPool, where its input is in plain NCHW.

ONNX Runtime on x86 keeps the activations of its own convolutions in blocks of channels (NCHWc),
and its MaxPool works on such blocks only: among our nodes it costs a reorder on each side, up to
five times its own work. SimdMaxPool stays in NCHW.
"""

from __future__ import annotations

import numpy as np

from alcs_onnx.graph import AttributeValue, GraphEditor, GraphNode, Tensor
from alcs_onnx.op_traits import ops_with
from alcs_onnx.rewrite.half import read_as_float32, write_from_float32
from alcs_onnx.sparse_format import OP_DOMAIN, OP_MAX_POOL

#: Window size and stride of the library's kernels.
WINDOWS = frozenset({(2, 2), (3, 1), (3, 2), (5, 1)})

#: Operators whose output ONNX Runtime keeps blocked if their inputs are.
_KEEP_LAYOUT = ops_with(lambda op: op.blocked)


def replace_max_pools(editor: GraphEditor) -> None:
    """Replace what the library does faster."""
    for node in list(editor.nodes):
        if not node.is_op("MaxPool"):
            continue
        window = _window(node)
        if window is None or _comes_blocked(node.inputs[0]) or _is_int8(node):
            continue
        read, result = read_as_float32(editor, node.inputs[0]), node.outputs[0]
        editor.remove(node)
        made = write_from_float32(editor, result)
        editor.add_node(node.name, OP_MAX_POOL, [read], [made], window, OP_DOMAIN)


def _is_int8(node: GraphNode) -> bool:
    """Whether the runtime pools the integers that are dequantized in front of the node."""
    return any(producer.is_op("DequantizeLinear") for producer in node.inputs[0].inputs)


def _window(node: GraphNode) -> dict[str, AttributeValue] | None:
    """The attributes of SimdMaxPool that compute the same, where the library is quick, or None."""
    window = pool_window(node)
    if window is None or node.inputs[0].dtype not in (np.float32, np.float16):
        return None
    kernel, strides = (node.ints_attribute(name) or (1, 1) for name in ("kernel_shape", "strides"))
    square = kernel[0] == kernel[1] and strides[0] == strides[1]
    return window if square and (kernel[0], strides[0]) in WINDOWS else None


def pool_window(node: GraphNode) -> dict[str, AttributeValue] | None:
    """The attributes of our max poolings that compute the same as the MaxPool `node`, or None."""
    size, out = node.inputs[0].shape, node.outputs[0].shape
    kernel = node.ints_attribute("kernel_shape")
    if size is None or out is None or len(size) != 4 or min(*size[2:], *out[2:]) < 1:
        return None
    if len(node.outputs) > 1 and node.outputs[1].name:  # the indices
        return None
    strides = node.ints_attribute("strides") or (1, 1)
    dilations = node.ints_attribute("dilations") or (1, 1)
    if dilations != (1, 1) or node.attrs.get("auto_pad", "NOTSET") != "NOTSET":
        return None
    begin = (node.ints_attribute("pads") or (0, 0, 0, 0))[:2]
    # The padding at the end follows from the output's size: with ceil_mode it grows.
    end = tuple(
        max(0, (out[2 + i] - 1) * strides[i] + kernel[i] - size[2 + i] - begin[i]) for i in (0, 1)
    )
    if any(max(begin[i], end[i]) >= kernel[i] for i in (0, 1)):
        return None
    return {"kernel_shape": kernel, "strides": strides, "pads": (*begin, *end)}


def _comes_blocked(tensor: Tensor) -> bool:
    """Whether a convolution that ONNX Runtime does itself is where the tensor comes from."""
    seen: set[GraphNode] = set()
    open_nodes = list(tensor.inputs)
    while open_nodes:
        node = open_nodes.pop()
        if node in seen:
            continue
        seen.add(node)
        if node.is_op("Conv"):
            return True
        if node.is_op(*_KEEP_LAYOUT):
            open_nodes += [producer for read in node.inputs for producer in read.inputs]
    return False
