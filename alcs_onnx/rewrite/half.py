"""float16 around the library's operators, which compute in float32.

ONNX Runtime does the same with its own operators on the CPU: it puts Casts around a float16
convolution and runs the float32 one. So the tensors of a float16 model stay float16, but for those
between two of our nodes: a Cast there and back is left out, and nothing is rounded.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from alcs_onnx.graph import GraphEditor, GraphNode, Tensor
from alcs_onnx.graph.proto import element_type
from alcs_onnx.sparse_format import OP_DOMAIN

_FLOAT16, _FLOAT32 = np.dtype(np.float16), np.dtype(np.float32)


def read_as_float32(editor: GraphEditor, tensor: Tensor) -> Tensor:
    """`tensor`, or the float32 of a float16 one: the same for all that ask."""
    if tensor.dtype != _FLOAT16:
        return tensor
    for reader in editor.consumers(tensor):
        if _is_cast(reader, _FLOAT32):
            return reader.outputs[0]
    floats = _beside(editor, tensor)
    _cast(editor, f"{tensor.name}.to_float32", tensor, floats)
    return floats


def write_from_float32(editor: GraphEditor, tensor: Tensor) -> Tensor:
    """What a float32 operator computes for `tensor`, itself or what float16 is made of.

    Nothing else may compute `tensor` any more.
    """
    if tensor.dtype != _FLOAT16:
        return tensor
    floats = _beside(editor, tensor)
    _cast(editor, f"{tensor.name}.to_float16", floats, tensor)
    return floats


def drop_round_trips(editor: GraphEditor) -> None:
    """Let nodes read the float32 that one of our nodes computed for a float16 tensor."""
    for back in list(editor.nodes):
        there = editor.producer(back.inputs[0]) if _is_cast(back, _FLOAT32) else None
        if there is None or not _is_cast(there, _FLOAT16):
            continue
        made = editor.producer(there.inputs[0])
        if made is None or made.domain != OP_DOMAIN or not editor.bypass(back, there.inputs[0]):
            continue
        if not editor.is_used(there.outputs[0]):
            editor.remove(there)


def _cast(editor: GraphEditor, name: str, source: Tensor, result: Tensor) -> None:
    assert result.dtype is not None
    attributes = {"to": element_type(result.dtype)}
    editor.add_node(editor.unique_node_name(name), "Cast", [source], [result], attributes)


def _is_cast(node: GraphNode, dtype: np.dtype[Any]) -> bool:
    return node.is_op("Cast") and node.int_attribute("to", 0) == element_type(dtype)


def _beside(editor: GraphEditor, tensor: Tensor) -> Tensor:
    """A new float32 tensor of the shape of `tensor`."""
    floats = editor.add_tensor(f"{tensor.name}.float32", _FLOAT32, tensor.shape)
    if tensor.name in editor.other_shapes:
        editor.other_shapes[floats.name] = editor.other_shapes[tensor.name]
    return floats
