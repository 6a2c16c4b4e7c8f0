"""Our nodes on integers of a file written earlier become what they were made of, once more.

Conv, Add and activation between QuantizeLinear and DequantizeLinear nodes, on channels in planes:
the file can be inspected, compiled or optimized like the quantized model it came from.

Precondition: weights, scales and zero points are constant and valid, and words of channels pass
between our nodes only.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from alcs_onnx.errors import ModelError
from alcs_onnx.graph.editor import GraphEditor
from alcs_onnx.graph.functions import SPARSE_CONVS
from alcs_onnx.graph.model import Array, AttributeValue
from alcs_onnx.graph.passes.expand_sparse_conv import spell_out
from alcs_onnx.graph.sparse_conv import read_integers
from alcs_onnx.graph.surgeon import Node, Tensor, as_value, constant
from alcs_onnx.integer_format import OP_PACK, OP_UNPACK, OP_WORD_POOL, unpack_integers
from alcs_onnx.sparse_format import OP_DOMAIN

_INTEGER_CONVS = tuple(name for name, op in SPARSE_CONVS.items() if op.integers)


def run(editor: GraphEditor, note: Callable[[str], None]) -> int:
    """Expand such nodes; returns how many."""
    ours = [node for node in editor.nodes if _reads_words(node) or node.is_ours(OP_PACK)]
    if not ours:
        return 0
    expansion = _Expansion(editor)
    for node in ours:
        if node.is_ours(OP_PACK):
            expansion.planes[node.outputs[0].name] = node.inputs[0]
    for node in ours:
        if _reads_words(node):
            expansion.expand(node)
    for node in ours:
        if node.is_ours(OP_PACK):
            expansion.forget(node)
    return len(ours)


def _reads_words(node: Node) -> bool:
    return node.is_ours(OP_UNPACK, OP_WORD_POOL, *_INTEGER_CONVS)


class _Expansion:
    """`planes`: the same bytes [N, C, *spatial] as are in a tensor of words, by its name."""

    def __init__(self, editor: GraphEditor):
        self.editor = editor
        self.planes: dict[str, Tensor] = {}

    def expand(self, node: Node) -> None:
        """Put ordinary nodes in place of `node`, whose inputs have been expanded."""
        if not node.outputs:  # an UnpackNC4HW4 that its convolution has taken the place of
            return
        x = self._planes_of(node, node.inputs[0])
        if node.op == OP_UNPACK:
            if not self.editor.bypass(node, x):
                output = node.outputs[0]
                self.editor.remove(node)
                self.editor.add_node(node.name, "Identity", [x], [output])
            return
        words = node.outputs[0]
        result = self.planes[words.name] = self._result(words)
        if node.op == OP_WORD_POOL:
            node.op, node.domain = "MaxPool", ""
            node.inputs[0], node.outputs[0] = x, result
        else:
            self._convolution(node, x, result)

    def _planes_of(self, node: Node, words: Tensor) -> Tensor:
        found = self.planes.get(words.name)
        if found is None:
            raise ModelError(
                f"node '{node.name}' ({node.op}) reads words of four channels from '{words.name}', "
                f"which is computed by none of {OP_DOMAIN}'s operators"
            )
        return found

    def _result(self, words: Tensor) -> Tensor:
        """The tensor of planes to compute: that of an UnpackNC4HW4, where there is one."""
        readers = self.editor.consumers(words)
        for reader in readers:
            if not _reads_words(reader):
                raise ModelError(
                    f"node '{reader.name}' ({reader.op}) reads words of four channels, which only "
                    f"{OP_DOMAIN}'s operators can"
                )
        if self.editor.is_output(words):
            raise ModelError(f"the graph returns words of four channels, '{words.name}'")
        unpack = next((reader for reader in readers if reader.op == OP_UNPACK), None)
        if unpack is None:
            return self.editor.add_tensor(f"{words.name}.planes")
        result = unpack.outputs[0]
        self.editor.remove(unpack)
        return result

    def forget(self, node: Node) -> None:
        """Remove a PackNC4HW4 that nothing reads any more."""
        words = node.outputs[0]
        if self.editor.is_used(words):
            self._result(words)  # says what is wrong
        self.editor.remove(node)

    def _convolution(self, node: Node, x: Tensor, result: Tensor) -> None:
        editor, op = self.editor, SPARSE_CONVS[node.op]
        value = as_value(node)
        weights, w_scale = read_integers(value, lambda name: constant(editor.tensor(name)))
        levels, _ = unpack_integers(weights)
        inputs = dict(zip(op.inputs, node.inputs, strict=True))
        x_scale = constant(inputs["x_scale"])
        if x_scale is None:
            raise ModelError(f"node '{node.name}' ({node.op}): its scales are not constant")
        name = node.name
        weight = self._constant(name, "weight", levels, w_scale)
        bias = constant(inputs["bias"])
        if bias is None or bias.shape != w_scale.shape:
            raise ModelError(f"node '{name}' ({node.op}): bias is not constant, or of another size")
        read = self._dequantized(name, "x", x, inputs["x_scale"], inputs["x_zero_point"])
        biases = self._constant(name, "bias", bias, x_scale * w_scale)
        residual = None
        if op.residual:
            planes = self._planes_of(node, inputs["residual"])
            how = (inputs["residual_scale"], inputs["residual_zero_point"])
            residual = self._dequantized(name, "residual", planes, *how)
        scale, zero = inputs["y_scale"], inputs["y_zero_point"]
        real = editor.add_tensor(f"{name}.real")
        spell_out(editor, node, (read, weight, biases), residual, real)
        self._add(f"{name}.quantize", "QuantizeLinear", [real, scale, zero], result)

    def _constant(self, name: str, what: str, array: Array, scale: Array) -> Tensor:
        """A constant with a scale for each of its rows, dequantized."""
        tensors = [
            self.editor.add_constant(f"{name}.{what}.{part}", values)
            for part, values in (
                ("levels", array),
                ("scale", scale.astype(np.float32)),
                ("zero_point", np.zeros(scale.shape, array.dtype)),
            )
        ]
        result = self.editor.add_tensor(f"{name}.{what}")
        added = f"{name}.{what}.dequantize"
        return self._add(added, "DequantizeLinear", tensors, result, {"axis": 0})

    def _dequantized(self, name: str, what: str, *inputs: Tensor) -> Tensor:
        result = self.editor.add_tensor(f"{name}.{what}")
        return self._add(f"{name}.{what}.dequantize", "DequantizeLinear", inputs, result)

    def _add(
        self,
        name: str,
        op: str,
        inputs: list[Tensor] | tuple[Tensor, ...],
        result: Tensor,
        attributes: dict[str, AttributeValue] | None = None,
    ) -> Tensor:
        name = self.editor.unique_node_name(name)
        self.editor.add_node(name, op, inputs, [result], attributes)
        return result
