"""Conv nodes say everything explicitly: kernel_shape, strides, pads, dilations, group.

Precondition: the weight's shape is known; for auto_pad SAME_* the input's shape as well, and the
padding has to be the same for all sizes that the input may have: with a stride it may not be.
With SAME, the output has ceil(input / stride) positions, and the total padding is

    max(0, (ceil(input / stride) - 1) * stride + (kernel - 1) * dilation + 1 - input),

its odd pixel at the end (SAME_UPPER) or at the begin (SAME_LOWER).
"""

from __future__ import annotations

from collections.abc import Callable

from alcs_onnx.graph.editor import GraphEditor
from alcs_onnx.graph.model import AttributeValue
from alcs_onnx.graph.surgeon import Node
from alcs_onnx.types import Shape


def _pads(
    node: Node, spatial: Shape | None, kernel: Shape, strides: Shape, dilations: Shape
) -> Shape | None:
    mode = node.str_attribute("auto_pad", "NOTSET")
    if mode in ("NOTSET", ""):
        return node.ints_attribute("pads", (0,) * 2 * len(kernel))
    if mode == "VALID":
        return (0,) * 2 * len(kernel)
    if spatial is None:
        return None
    begins, ends = [], []
    for size, k, stride, dilation in zip(spatial, kernel, strides, dilations, strict=True):
        total = max(0, (-(-size // stride) - 1) * stride + (k - 1) * dilation + 1 - size)
        small, large = total // 2, total - total // 2
        begins.append(small if mode == "SAME_UPPER" else large)
        ends.append(large if mode == "SAME_UPPER" else small)
    return (*begins, *ends)


def run(editor: GraphEditor, note: Callable[[str], None]) -> int:
    """Rewrite Conv attributes; returns how many nodes changed."""
    changes = 0
    for node in editor.nodes:
        kernel = node.input(1) if node.is_op("Conv") else None
        weight = None if kernel is None else kernel.shape
        if weight is None or len(weight) < 3:
            continue
        ones = (1,) * (len(weight) - 2)
        strides = node.ints_attribute("strides", ones) or ones
        dilations = node.ints_attribute("dilations", ones) or ones
        found = {
            _pads(node, shape and shape[2:], weight[2:], strides, dilations)
            for shape in editor.all_shapes(node.inputs[0])
        }
        pads = found.pop()
        if pads is None or found:
            continue
        attributes: dict[str, AttributeValue] = {
            "dilations": dilations,
            "group": node.int_attribute("group", 1),
            "kernel_shape": tuple(weight[2:]),
            "pads": pads or (0,) * 2 * len(ones),
            "strides": strides,
        }
        if node.attrs != attributes:
            node.attrs = attributes
            changes += 1
    return changes
