"""A model in float32 throughout, for what computes in nothing coarser: training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from alcs_onnx.graph.model import AttributeValue, Model, Node, TensorInfo
from alcs_onnx.graph.proto import element_type

_HALF, _FLOAT = np.dtype(np.float16), np.dtype(np.float32)
#: Attributes that name the element type of a result.
_TYPES = ("to", "dtype")


def as_float32(model: Model) -> Model:
    """The model with float32 in place of float16 everywhere; itself where there is none.

    The names are the same, so that weights of the one are weights of the other. It stands by
    itself: what is written of it is not the file.
    """
    if _HALF not in {*model.dtypes.values(), *(info.dtype for info in model.inputs)}:
        return model
    return replace(
        model,
        nodes=tuple(_node(node) for node in model.nodes),
        inputs=tuple(map(_info, model.inputs)),
        outputs=tuple(map(_info, model.outputs)),
        initializers={
            name: array.astype(_FLOAT) if array.dtype == _HALF else array
            for name, array in model.initializers.items()
        },
        dtypes={name: _FLOAT if dtype == _HALF else dtype for name, dtype in model.dtypes.items()},
        origin=None,
    )


def _info(info: TensorInfo) -> TensorInfo:
    return replace(info, dtype=_FLOAT) if info.dtype == _HALF else info


def _node(node: Node) -> Node:
    attributes = {name: _attribute(name, value) for name, value in node.attributes.items()}
    return replace(node, attributes=attributes)


def _attribute(name: str, value: AttributeValue) -> AttributeValue:
    if name in _TYPES and value == element_type(_HALF):
        return element_type(_FLOAT)
    return value.astype(_FLOAT) if isinstance(value, np.ndarray) and value.dtype == _HALF else value
