"""Fully connected layers become convolutions, so that they are pruned like any other layer.

Not one of `PASSES`: `as_convolutions` runs it for those who ask. Precondition: Gemm (transA off)
or MatMul with an input [N, K] and a constant float32 weight that nothing else reads, a bias (Gemm)
that is constant and the same for all samples. Algebra, with W as [K, M]:

    alpha * x W + beta * b  =  Conv([N, K, 1, 1], weight [M, K, 1, 1] = alpha * W^T, bias beta * b)

Where the input is a tensor [N, C, H, W] laid out flat, the weight is [M, C, H, W] instead and the
convolution reads that tensor: row k of W is at (c, h, w), k = (c H + h) W + w. The channels in
front stay channels of the layer, and no Reshape remains. A Transpose in front of the flattening,
as NHWC frameworks leave, goes into the weight as well.

What follows element by element stays on the [N, M, 1, 1] side up to the next layer: activations,
a bias or BatchNormalization, sums of such tensors. A Flatten goes back to [N, M] only where
something needs that. Layers that do not fit are left alone, each with a note that says why.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod

import numpy as np

from alcs_onnx.graph.editor import GraphEditor
from alcs_onnx.graph.model import Array, AttributeValue, Node
from alcs_onnx.op_traits import BROADCAST, UNARY
from alcs_onnx.types import Shape

#: Work on each number of the first input by itself, or by what belongs to its channel.
_PER_CHANNEL = (*UNARY, "BatchNormalization")
#: Reorder nothing: the elements of a sample stay in their order.
_VIEWS = ("Flatten", "Reshape", "Squeeze", "Unsqueeze")


def run(editor: GraphEditor, note: Callable[[str], None]) -> int:
    """Replace such layers; returns how many."""
    return _Conversion(editor, note).run()


class _Conversion:
    """One walk over the graph in its order.

    `_lifted` has the [N, K, 1, 1] form of tensors [N, K] that layers read, `_moved` that of
    tensors that are now computed so.
    """

    def __init__(self, editor: GraphEditor, note: Callable[[str], None]) -> None:
        self._editor = editor
        self._note = note
        self._lifted: dict[str, str] = {}
        self._moved: dict[str, str] = {}

    def run(self) -> int:
        changes = 0
        for name in [node.name for node in self._editor.nodes]:
            node = self._editor.node(name)
            if node is None:
                continue
            if node.is_op("Gemm", "MatMul"):
                reason = reason_against(self._editor, node)
                if reason:
                    self._note(f"node '{node.name}' ({node.op_type}) stays as it is: {reason}")
                else:
                    self._convolve(node)
                    changes += 1
            elif any(tensor in self._moved for tensor in node.inputs):
                self._follow(node)
        self._go_back()
        return changes

    # -- layers --------------------------------------------------------------------------

    def _convolve(self, node: Node) -> None:
        editor = self._editor
        matrix = _matrix(editor, node)
        data, weight = self._read(node.inputs[0], matrix)
        inputs = [data, node.inputs[1]]
        editor.set_initializer(node.inputs[1], weight)
        bias = editor.constant(node.input(2))
        if bias is not None:
            inputs.append(self._bias(node, bias, len(weight)))
        attributes: dict[str, AttributeValue] = {
            "dilations": (1, 1),
            "group": 1,
            "kernel_shape": weight.shape[2:],
            "pads": (0, 0, 0, 0),
            "strides": (1, 1),
        }
        self._move(Node(node.name, "Conv", tuple(inputs), node.outputs, attributes))

    def _bias(self, node: Node, bias: Array, channels: int) -> str:
        scaled = bias.astype(np.float64) * node.float_attribute("beta", 1.0)
        row = np.broadcast_to(scaled.reshape(-1), (channels,)).astype(np.float32)
        name = node.inputs[2]
        if len(self._editor.consumers(name)) > 1 or self._editor.is_output(name):
            return self._editor.add_initializer(f"{node.name}.bias", row)
        self._editor.set_initializer(name, row)
        return name

    def _read(self, tensor: str, matrix: Array) -> tuple[str, Array]:
        """What the convolution reads in place of `tensor`, and the [M, K] matrix as its weight."""
        editor = self._editor
        found = self._lifted.get(tensor) or self._moved.get(tensor)
        if found is not None:
            return found, matrix[:, :, None, None]
        batch, source = editor.shapes[tensor][0], tensor
        while (view := editor.producer(source)) is not None and view.is_op(*_VIEWS):
            shape = editor.shapes.get(view.inputs[0])
            if not shape or shape[0] != batch:
                break
            source = view.inputs[0]
            if len(shape) == 4:
                return self._read_image(tensor, source, matrix)
        target = np.array([0, -1, 1, 1], np.int64)
        shape_name = editor.add_initializer(f"{tensor}.shape", target)
        image = self._new_tensor(tensor, f"{tensor}.image")
        name = self._node_name(f"{tensor}.image")
        editor.insert_node(Node(name, "Reshape", (source, shape_name), (image,)))
        self._lifted[tensor] = image
        return image, matrix[:, :, None, None]

    def _read_image(self, tensor: str, source: str, matrix: Array) -> tuple[str, Array]:
        editor = self._editor
        shape = editor.shapes[source]
        weight = matrix.reshape(len(matrix), *shape[1:])
        transpose = editor.producer(source)
        if transpose is not None and transpose.is_op("Transpose"):
            perm = transpose.ints_attribute("perm")
            if perm[:1] == (0,):
                source = transpose.inputs[0]
                weight = weight.transpose(np.argsort(perm))
        if weight.shape[2:] == (1, 1):
            self._lifted[tensor] = source
        return source, np.ascontiguousarray(weight)

    # -- what follows --------------------------------------------------------------------

    def _follow(self, node: Node) -> None:
        """Move a node that reads a moved tensor to its four axes, if that is the same."""
        image = self._moved.get(node.inputs[0])
        if node.is_op(*BROADCAST):
            operands = self._operands(node)
            if operands is not None:
                self._move(_with_inputs(node, operands))
        elif image is not None and node.is_op(*_VIEWS):
            self._follow_view(node, image)
        elif image is not None and node.is_op(*_PER_CHANNEL) and len(node.outputs) == 1:
            self._move(_with_inputs(node, {0: image}))

    def _follow_view(self, node: Node, image: str) -> None:
        """Let what views a moved tensor in another shape view, or be, its form with four axes."""
        editor, output = self._editor, node.outputs[0]
        shape = editor.shapes.get(output)
        if shape == editor.shapes[node.inputs[0]]:
            editor.remove_nodes([node.name])
            self._moved[output] = image
        elif shape == editor.shapes[image] and not editor.is_output(output):
            editor.bypass(node, image)
        elif node.is_op("Reshape"):
            # A 0 in the target keeps N or M, which are in the same places.
            editor.update_node(node, inputs=(image, *node.inputs[1:]))

    def _operands(self, node: Node) -> dict[int, str] | None:
        """Every operand with four axes; None where one has none or broadcasting differs."""
        editor = self._editor
        shape = editor.shapes.get(node.outputs[0])
        constants: dict[int, Array] = {}
        found: dict[int, str] = {}
        for index, name in enumerate(node.inputs):
            constant = editor.constant(name)
            moved = self._moved.get(name) or self._lifted.get(name)
            if constant is not None and constant.ndim <= 2:
                constants[index] = constant
            elif moved is not None and editor.shapes.get(name) == shape:
                found[index] = moved
            else:
                return None
        for index, constant in constants.items():
            if constant.ndim:
                rows = (1,) * (2 - constant.ndim) + constant.shape
                if rows[0] != 1:
                    return None
                found[index] = editor.add_initializer(
                    f"{node.inputs[index]}.image", constant.reshape(1, rows[1], 1, 1)
                )
        return found

    def _move(self, node: Node) -> None:
        """Put `node`, computed with four axes, in place of the node of its name."""
        output = node.outputs[0]
        image = self._new_tensor(output, f"{output}.image")
        self._editor.replace_node(replace(node, outputs=(image,)))
        self._moved[output] = image

    def _go_back(self) -> None:
        """A Flatten behind each moved tensor that something reads as [N, M]."""
        for tensor, image in self._moved.items():
            if self._editor.consumers(tensor) or self._editor.is_output(tensor):
                name = self._node_name(f"{tensor}.flat")
                self._editor.insert_node(Node(name, "Flatten", (image,), (tensor,), {"axis": 1}))

    def _new_tensor(self, like: str, base: str) -> str:
        editor = self._editor
        name = editor.unique_name(base)
        editor.shapes[name] = (*editor.shapes[like], 1, 1)
        editor.dtypes[name] = editor.dtypes[like]
        return name

    def _node_name(self, base: str) -> str:
        name, count = base, 0
        while self._editor.node(name) is not None:
            count += 1
            name = f"{base}_{count}"
        return name


def _with_inputs(node: Node, changed: dict[int, str]) -> Node:
    inputs = tuple(changed.get(index, name) for index, name in enumerate(node.inputs))
    return replace(node, inputs=inputs)


def _matrix(editor: GraphEditor, node: Node) -> Array:
    """alpha times the weight, [M, K]."""
    weight = editor.initializers[node.inputs[1]]
    rows = weight if node.int_attribute("transB", 0) else weight.T
    alpha = node.float_attribute("alpha", 1.0)
    scaled = rows if alpha == 1 else (rows.astype(np.float64) * alpha).astype(np.float32)
    return np.ascontiguousarray(scaled)


def reason_against(editor: GraphEditor, node: Node) -> str:
    """Why `node` is no fully connected layer that can be a convolution; empty where it is."""
    weight = editor.constant(node.inputs[1])
    if weight is None:
        first = editor.constant(node.inputs[0]) is not None
        return "its weights are the left operand" if first else "its weights are computed"
    if weight.dtype != np.float32:
        return f"its weights are {weight.dtype.name}, only float32 is supported"
    shape = editor.shapes.get(node.inputs[0])
    if shape is None:
        return "the shape of its input is not known"
    if len(shape) != 2 or weight.ndim != 2:
        return f"its input has rank {len(shape)}, its weight rank {weight.ndim}: not 2 and 2"
    if prod(weight.shape) == 0 or shape[0] == 0:
        return "it is empty"
    if node.int_attribute("transA", 0):
        return "its input is transposed"
    name = node.inputs[1]
    if len(editor.consumers(name)) > 1 or editor.is_output(name) or node.inputs.count(name) > 1:
        return "its weights are shared with another node"
    return _reason_against_bias(editor, node)


def _reason_against_bias(editor: GraphEditor, node: Node) -> str:
    if not node.input(2):
        return ""
    bias = editor.constant(node.inputs[2])
    if bias is None:
        return "its bias is computed"
    rows: Shape = (1,) * (2 - bias.ndim) + bias.shape
    return "its bias differs between samples" if rows[0] != 1 else ""
