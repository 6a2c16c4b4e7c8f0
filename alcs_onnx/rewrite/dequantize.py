"""Quantized weights of nodes that stay what they are: small integers in the file, times a scale.

A weight is written as an initializer of levels and a node or two that make float32 of it:

* DequantizeLinear, the standard's way, which other tools read as a quantized weight. ONNX Runtime
  keeps it for its quantized kernels: it dequantizes in every run, and lays the convolutions
  behind it out as if their weights were not known (measured: 1.4 times the time).
* Cast and Mul, which every ONNX Runtime folds into the float32 weight when it loads the file.

`quantize_weights`, for models that other tools and runtimes are to read, writes the first; layers
that the rewriter leaves alone for their speed get the second.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from math import prod
from typing import Any

import numpy as np

from alcs_onnx.errors import AlcsError, ModelError
from alcs_onnx.graph import (
    GraphEditor,
    GraphNode,
    Model,
    Node,
    TensorInfo,
    int4_dtype,
    loadable,
)
from alcs_onnx.graph.proto import element_type
from alcs_onnx.ort import create_session
from alcs_onnx.types import LayerName, QuantizedWeight, Shape

#: The opset that brought 4-bit integers.
_INT4_OPSET = 21
#: The opset that brought a scale for each channel to DequantizeLinear.
_CHANNEL_SCALES_OPSET = 13
#: Attributes of a Cast to float32.
_TO_FLOAT = {"to": 1}


def quantize_weights(model: Model, quantized: Mapping[LayerName, QuantizedWeight]) -> Model:
    """The model with the second input of some nodes (Conv, Gemm, ...) quantized.

    Weights become DequantizeLinear nodes, or Cast and Mul where there is a scale for each channel
    and the opset is below 13, whose DequantizeLinear has one scale only. `quantized` maps names
    of nodes to weights of the shapes that they have now. Levels take a byte, or half of one where
    they have at most 4 bits and the model's opset (21) and the installed ONNX Runtime know 4-bit
    integers. Raises `ModelError` for a node that has no constant weight, and for a weight or
    scales of another shape.
    """
    editor = GraphEditor(model)
    for name, weight in quantized.items():
        node = editor.node(name) if any(n.name == name for n in model.nodes) else None
        old = None if node is None else node.constant(1)
        if node is None or old is None:
            raise ModelError(f"node '{name}' has no constant weight to quantize")
        check_fits(name, weight, old.shape)
        insert_quantized(editor, node, weight, dequantize=True)
    return editor.build()


def check_fits(name: str, weight: QuantizedWeight, shape: Shape) -> None:
    """Refuse a quantized weight that is not of `shape`, or whose scales do not fit it."""
    if weight.levels.shape != shape:
        raise ModelError(
            f"the quantized weight of '{name}' has shape {list(weight.levels.shape)}, "
            f"the node needs {list(shape)}"
        )
    if weight.scale.shape not in ((1,), shape[:1]) or not np.isfinite(weight.scale).all():
        raise ModelError(
            f"the quantized weight of '{name}' needs 1 or {shape[0]} finite scales, "
            f"got {weight.scale.size}"
        )


def insert_quantized(
    editor: GraphEditor, node: GraphNode, weight: QuantizedWeight, *, dequantize: bool = False
) -> None:
    """Let `node` read levels times scale as its second input.

    By DequantizeLinear if `dequantize` and the opset has one for such scales, else by Cast and Mul;
    in the element type that the weight had.
    """
    name, opset = node.name, int(editor.opset)
    floats_type = node.values(1).dtype
    dequantize = dequantize and floats_type == np.float32
    scale = weight.scale.astype(floats_type, copy=False)
    stored = weight.levels.astype(_level_dtype(opset, weight))
    levels = editor.add_constant(f"{name}.levels", stored)
    result = editor.add_tensor(f"{name}.weight")
    channels = weight.scale.size > 1
    if dequantize and (not channels or opset >= _CHANNEL_SCALES_OPSET):
        added = editor.unique_node_name(f"{name}.dequantize")
        scales = editor.add_constant(f"{name}.scale", scale if channels else scale.reshape(()))
        axis = {"axis": 0} if channels else {}
        editor.add_node(added, "DequantizeLinear", [levels, scales], [result], axis)
    else:
        scales = editor.add_constant(f"{name}.scale", scale.reshape(-1, *(1,) * (stored.ndim - 1)))
        floats = editor.add_tensor(f"{name}.floats")
        cast, mul = (editor.unique_node_name(f"{name}.{end}") for end in ("cast", "mul"))
        editor.add_node(cast, "Cast", [levels], [floats], {"to": element_type(floats_type)})
        editor.add_node(mul, "Mul", [floats, scales], [result])
    node.inputs[1] = result


def _level_dtype(opset: int, weight: QuantizedWeight) -> np.dtype[Any]:
    small = int4_dtype()
    known = small is not None and opset >= _INT4_OPSET and weight.codebook.bits <= 4
    return small if small is not None and known and _runs(small) else np.dtype(np.int8)


@cache
def _runs(small: np.dtype[Any]) -> bool:
    """Whether the installed ONNX Runtime casts this type to float."""
    shape = (4,)
    float32 = np.dtype(np.float32)
    levels = np.arange(prod(shape)).astype(small)
    probe = Model(
        nodes=(
            Node("cast", "Cast", ("levels",), ("floats",), {"to": element_type(float32)}),
            Node("add", "Add", ("floats", "x"), ("y",)),
        ),
        inputs=(TensorInfo("x", float32, shape),),
        outputs=(TensorInfo("y", float32, shape),),
        opset=_INT4_OPSET,
        initializers={"levels": levels},
        shapes={},
        dtypes={},
        ir_version=10,
    )
    try:
        create_session(loadable(probe), library=False)
    except AlcsError:
        return False
    return True
