"""BatchNormalization."""

from __future__ import annotations

from alcs_onnx.graph.upgrade.node import NodeUpgrade
from alcs_onnx.graph.upgrade.registry import upgrades


@upgrades("BatchNormalization", below=9)
def batch_normalization(node: NodeUpgrade) -> None:
    """9: `spatial` is gone, and always 1.

    With spatial = 0 scale, bias, mean and variance have a value for each position, (C, D1, ...),
    which broadcasts over the batch: y = x * s + (bias - mean * s) with
    s = scale / sqrt(variance + epsilon), the order in which ONNX Runtime computes it.
    """
    spatial = node.take("spatial")
    if spatial is None or spatial.i:
        return
    if any(node.node.output[1:]):
        raise node.unsupported("spatial=0 with the outputs of training cannot be upgraded")
    x, scale, bias, mean, variance = node.node.input
    element = node.element_type(x)
    epsilon = node.as_input("epsilon", element_type=element)
    epsilon = epsilon or node.constant(1e-5, element, "epsilon")
    shifted = node.before("Add", [variance, epsilon], "shifted_variance")
    deviation = node.before("Sqrt", [shifted], "deviation")
    slope = node.before("Div", [scale, deviation], "slope")
    offset = node.before("Sub", [bias, node.before("Mul", [mean, slope], "mean")], "offset")
    scaled = node.before("Mul", [x, slope], "scaled")
    node.replace("Add", scaled, offset)
