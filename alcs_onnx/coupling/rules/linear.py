"""Gemm: a product with a constant matrix. For MatMul and Einsum see `products`."""

from __future__ import annotations

from alcs_onnx.coupling.linker import Linker
from alcs_onnx.coupling.rules.registry import couples
from alcs_onnx.graph import Node, told


@couples("Gemm", reads_first=False)
def gemm(linker: Linker, node: Node) -> None:
    """[N, K] x [K, M] + [M]: rows of the matrix read channels, its columns make new ones."""
    first, matrix, bias = node.inputs[0], node.inputs[1], node.input(2)
    output = node.outputs[0]
    if not linker.is_constant(matrix) or linker.is_constant(first):
        return _refuse(linker, node, "multiplies tensors that are not constant")
    if node.int_attribute("transA", 0):
        return _refuse(linker, node, "multiplies a transposed activation")
    transposed = bool(node.int_attribute("transB", 0))
    inputs = linker.along(first, 1, node)
    outputs = linker.fresh(linker.shape(output)[1])
    linker.use(matrix, 1 if transposed else 0, inputs, "in", node)
    linker.use(matrix, 0 if transposed else 1, outputs, "out", node)
    linker.set(output, 1, outputs)
    if not bias:
        return None
    if not linker.is_constant(bias):
        return _refuse(linker, node, "adds a bias that is computed at run time")
    shape = linker.shape(bias)
    if shape and shape[-1] > 1:
        linker.use(bias, len(shape) - 1, outputs, "vector", node)
    return None  # else one number for all channels


def _refuse(linker: Linker, node: Node, what: str) -> None:
    reason = f"{told(node)} {what}"
    for name in node.inputs:
        linker.freeze_tensor(name, reason)
    linker.set_frozen(node.outputs[0], reason)
