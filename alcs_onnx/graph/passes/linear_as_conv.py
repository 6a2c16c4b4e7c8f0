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
from math import prod

import numpy as np

from alcs_onnx.graph.editor import GraphEditor
from alcs_onnx.graph.model import Array
from alcs_onnx.graph.surgeon import Node, Tensor, constant
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
        self._lifted: dict[str, Tensor] = {}
        self._moved: dict[str, Tensor] = {}

    def run(self) -> int:
        changes = 0
        for node in list(self._editor.nodes):
            if node.is_op("Gemm", "MatMul"):
                reason = reason_against(self._editor, node)
                if reason:
                    self._note(f"node '{node.name}' ({node.op}) stays as it is: {reason}")
                else:
                    self._convolve(node)
                    changes += 1
            elif any(tensor.name in self._moved for tensor in node.inputs):
                self._follow(node)
        self._go_back()
        return changes

    # -- layers --------------------------------------------------------------------------

    def _convolve(self, node: Node) -> None:
        editor = self._editor
        matrix = _matrix(node)
        data, weight = self._read(node.inputs[0], matrix)
        inputs = [data, editor.add_constant(f"{node.name}.weight", weight)]
        bias = node.constant(2)
        if bias is not None:
            inputs.append(self._bias(node, bias, len(weight)))
        node.op, node.inputs = "Conv", inputs
        node.attrs = {
            "dilations": (1, 1),
            "group": 1,
            "kernel_shape": weight.shape[2:],
            "pads": (0, 0, 0, 0),
            "strides": (1, 1),
        }
        self._move(node)

    def _bias(self, node: Node, bias: Array, channels: int) -> Tensor:
        scaled = bias.astype(np.float64) * node.float_attribute("beta", 1.0)
        row = np.broadcast_to(scaled.reshape(-1), (channels,)).astype(np.float32)
        return self._editor.add_constant(f"{node.name}.bias", row)

    def _read(self, tensor: Tensor, matrix: Array) -> tuple[Tensor, Array]:
        """What the convolution reads in place of `tensor`, and the [M, K] matrix as its weight."""
        editor = self._editor
        found = self._lifted.get(tensor.name) or self._moved.get(tensor.name)
        if found is not None:
            return found, matrix[:, :, None, None]
        batch, source = _shape(tensor)[0], tensor
        while (view := editor.producer(source)) is not None and view.is_op(*_VIEWS):
            shape = view.inputs[0].shape
            if not shape or shape[0] != batch:
                break
            source = view.inputs[0]
            if len(shape) == 4:
                return self._read_image(tensor, source, matrix)
        target = np.array([0, -1, 1, 1], np.int64)
        sizes = editor.add_constant(f"{tensor.name}.shape", target)
        image = self._new_image(tensor)
        name = editor.unique_node_name(f"{tensor.name}.image")
        editor.add_node(name, "Reshape", [source, sizes], [image])
        self._lifted[tensor.name] = image
        return image, matrix[:, :, None, None]

    def _read_image(self, tensor: Tensor, source: Tensor, matrix: Array) -> tuple[Tensor, Array]:
        weight = matrix.reshape(len(matrix), *_shape(source)[1:])
        transpose = self._editor.producer(source)
        if transpose is not None and transpose.is_op("Transpose"):
            perm = transpose.ints_attribute("perm")
            if perm[:1] == (0,):
                source = transpose.inputs[0]
                weight = weight.transpose(np.argsort(perm))
        if weight.shape[2:] == (1, 1):
            self._lifted[tensor.name] = source
        return source, np.ascontiguousarray(weight)

    # -- what follows --------------------------------------------------------------------

    def _follow(self, node: Node) -> None:
        """Move a node that reads a moved tensor to its four axes, if that is the same."""
        image = self._moved.get(node.inputs[0].name)
        if node.is_op(*BROADCAST):
            operands = self._operands(node)
            if operands is not None:
                for index, operand in operands.items():
                    node.inputs[index] = operand
                self._move(node)
        elif image is not None and node.is_op(*_VIEWS):
            self._follow_view(node, image)
        elif image is not None and node.is_op(*_PER_CHANNEL) and len(node.outputs) == 1:
            node.inputs[0] = image
            self._move(node)

    def _follow_view(self, node: Node, image: Tensor) -> None:
        """Let what views a moved tensor in another shape view, or be, its form with four axes."""
        editor, output = self._editor, node.outputs[0]
        if output.shape == node.inputs[0].shape:
            editor.remove(node)
            self._moved[output.name] = image
        elif output.shape == image.shape and not editor.is_output(output):
            editor.bypass(node, image)
        elif node.is_op("Reshape"):
            # A 0 in the target keeps N or M, which are in the same places.
            node.inputs[0] = image

    def _operands(self, node: Node) -> dict[int, Tensor] | None:
        """Every operand with four axes; None where one has none or broadcasting differs."""
        editor = self._editor
        shape = node.outputs[0].shape
        constants: dict[int, Array] = {}
        found: dict[int, Tensor] = {}
        for index, tensor in enumerate(node.inputs):
            array = constant(tensor)
            moved = self._moved.get(tensor.name) or self._lifted.get(tensor.name)
            if array is not None and array.ndim <= 2:
                constants[index] = array
            elif moved is not None and tensor.shape == shape:
                found[index] = moved
            else:
                return None
        for index, array in constants.items():
            if array.ndim:
                rows = (1,) * (2 - array.ndim) + array.shape
                if rows[0] != 1:
                    return None
                found[index] = editor.add_constant(
                    f"{node.inputs[index].name}.image", array.reshape(1, rows[1], 1, 1)
                )
        return found

    def _move(self, node: Node) -> None:
        """Let `node`, whose inputs have four axes now, compute such a result."""
        output = node.outputs[0]
        node.outputs = [self._new_image(output)]
        self._moved[output.name] = node.outputs[0]

    def _go_back(self) -> None:
        """A Flatten behind each moved tensor that something reads as [N, M]."""
        editor = self._editor
        for tensor_name, image in self._moved.items():
            tensor = editor.tensor(tensor_name)
            if editor.is_used(tensor):
                name = editor.unique_node_name(f"{tensor_name}.flat")
                editor.add_node(name, "Flatten", [image], [tensor], {"axis": 1})

    def _new_image(self, tensor: Tensor) -> Tensor:
        """A tensor for the [N, M, 1, 1] form of `tensor`."""
        shape = (*_shape(tensor), 1, 1)
        return self._editor.add_tensor(f"{tensor.name}.image", tensor.dtype, shape)


def _shape(tensor: Tensor) -> Shape:
    """The shape of a tensor of which it is known."""
    assert tensor.shape is not None
    return tensor.shape


def _matrix(node: Node) -> Array:
    """alpha times the weight, [M, K]."""
    weight = node.values(1)
    rows = weight if node.int_attribute("transB", 0) else weight.T
    alpha = node.float_attribute("alpha", 1.0)
    scaled = rows if alpha == 1 else (rows.astype(np.float64) * alpha).astype(np.float32)
    return np.ascontiguousarray(scaled)


def reason_against(editor: GraphEditor, node: Node) -> str:
    """Why `node` is no fully connected layer that can be a convolution; empty where it is."""
    weight = node.constant(1)
    if weight is None:
        first = node.constant(0) is not None
        return "its weights are the left operand" if first else "its weights are computed"
    if weight.dtype != np.float32:
        return f"its weights are {weight.dtype.name}, only float32 is supported"
    shape = node.inputs[0].shape
    if shape is None:
        return "the shape of its input is not known"
    if len(shape) != 2 or weight.ndim != 2:
        return f"its input has rank {len(shape)}, its weight rank {weight.ndim}: not 2 and 2"
    if prod(weight.shape) == 0 or shape[0] == 0:
        return "it is empty"
    if node.int_attribute("transA", 0):
        return "its input is transposed"
    if len(node.inputs[1].outputs) > 1 or editor.is_output(node.inputs[1]):
        return "its weights are shared with another node"
    return _reason_against_bias(node)


def _reason_against_bias(node: Node) -> str:
    if node.input(2) is None:
        return ""
    bias = node.constant(2)
    if bias is None:
        return "its bias is computed"
    rows: Shape = (1,) * (2 - bias.ndim) + bias.shape
    return "its bias differs between samples" if rows[0] != 1 else ""
