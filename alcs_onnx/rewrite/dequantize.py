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
from alcs_onnx.graph import GraphEditor, Model, Node, TensorInfo, int4_dtype, serialize
from alcs_onnx.ort import create_session
from alcs_onnx.types import LayerName, QuantizedWeight, Shape

#: The opset that brought 4-bit integers.
_INT4_OPSET = 21


def quantize_weights(model: Model, quantized: Mapping[LayerName, QuantizedWeight]) -> Model:
    """The model with the second input of some nodes (Conv, Gemm, ...) quantized.

    Weights become DequantizeLinear nodes. `quantized` maps names of nodes to weights of the
    shapes that they have now. Levels take a byte, or half of one where they have at most 4 bits
    and the model's opset (21) and the installed ONNX Runtime know 4-bit integers. Raises
    `ModelError` for a node that has no constant weight, and for a weight or scales of another
    shape.
    """
    editor = GraphEditor(model)
    for name, weight in quantized.items():
        node = editor.node(name)
        old = None if node is None else editor.constant(node.input(1))
        if old is None:
            raise ModelError(f"node '{name}' has no constant weight to quantize")
        check_fits(name, weight, old.shape)
        insert_quantized(editor, name, weight, dequantize=True)
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
    editor: GraphEditor, name: str, weight: QuantizedWeight, *, dequantize: bool = False
) -> None:
    """Let node `name` read levels times scale as its second input.

    By DequantizeLinear if `dequantize`, else by Cast and Mul.
    """
    node = editor.node(name)
    assert node is not None
    stored = weight.levels.astype(_level_dtype(editor.opset, weight))
    levels = editor.add_initializer(f"{name}.levels", stored)
    result = editor.unique_name(f"{name}.weight")
    if dequantize:
        channels = weight.scale.size > 1
        scale = weight.scale if channels else weight.scale.reshape(())
        scales = editor.add_initializer(f"{name}.scale", scale)
        editor.insert_node(
            Node(
                _free(editor, f"{name}.dequantize"),
                "DequantizeLinear",
                (levels, scales),
                (result,),
                {"axis": 0} if channels else {},
            )
        )
    else:
        scales = editor.add_initializer(
            f"{name}.scale", weight.scale.reshape(-1, *(1,) * (stored.ndim - 1))
        )
        floats = editor.unique_name(f"{name}.floats")
        editor.insert_node(_cast(_free(editor, f"{name}.cast"), levels, floats))
        editor.insert_node(Node(_free(editor, f"{name}.mul"), "Mul", (floats, scales), (result,)))
    editor.update_node(node, inputs=(node.inputs[0], result, *node.inputs[2:]))


def _cast(name: str, levels: str, floats: str) -> Node:
    return Node(name, "Cast", (levels,), (floats,), {"to": 1})


def _free(editor: GraphEditor, base: str) -> str:
    """A name that no node has."""
    name, count = base, 0
    while editor.node(name) is not None:
        count += 1
        name = f"{base}_{count}"
    return name


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
            _cast("cast", "levels", "floats"),
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
        create_session(serialize(probe), library=False)
    except AlcsError:
        return False
    return True
