"""Computing nodes of constant inputs, by the reference implementation of the onnx package.

(graphsurgeon's `fold_constants` runs them in ONNX Runtime, which this package loads where models
are run, prints what fails, and takes the sizes of the file for the only ones that there are.)
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx

from alcs_onnx.graph.model import Array, Node, Opaque
from alcs_onnx.graph.proto import value_info
from alcs_onnx.graph.surgeon import opset_imports, write_node
from alcs_onnx.types import Shape

#: Computed anew in every run, or kept because runtimes recognise quantized layers by them.
_NEVER = frozenset(
    {
        "Bernoulli",
        "DequantizeLinear",
        "Multinomial",
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
    }
)
#: The onnx package's evaluator knows their meaning since opset 13 only.
_FLATTENING = frozenset({"Hardmax", "LogSoftmax", "Softmax"})


def computable(node: Node, opset: int) -> bool:
    """Whether the values of a node's inputs are all that its outputs depend on."""
    return (
        node.domain == ""
        and (opset >= 13 or node.op_type not in _FLATTENING)
        and node.op_type not in _NEVER
        and any(node.outputs)
        and not any(isinstance(value, Opaque) for value in node.attributes.values())
    )


def evaluate(node: Node, inputs: Mapping[str, Array], opset: int) -> list[Array]:
    """The present outputs of `node`; raises whatever its reference implementation raises."""
    from onnx.reference import ReferenceEvaluator  # slow to import, and often not needed

    outputs = [name for name in node.outputs if name]
    graph = onnx.helper.make_graph(
        [write_node(node)],
        "constant",
        [value_info(name, array.dtype, array.shape) for name, array in inputs.items()],
        [onnx.ValueInfoProto(name=name) for name in outputs],
    )
    model = onnx.helper.make_model(graph, opset_imports=opset_imports(opset, {}))
    found = ReferenceEvaluator(model).run(outputs, dict(inputs))
    arrays = [np.asarray(value) for value in found]
    return [np.ascontiguousarray(array).reshape(array.shape) for array in arrays]


def read_sizes(node: Node, sizes: Shape) -> Array:
    """What a Shape or a Size node gives of a tensor of these sizes."""
    if node.is_op("Size"):
        return np.asarray(np.prod(sizes, dtype=np.int64), dtype=np.int64)
    start = node.int_attribute("start", 0)
    end = node.int_attribute("end", len(sizes))
    return np.asarray(sizes[start:end], dtype=np.int64)
