"""The file as a whole and node by node."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import prod

import numpy as np

from alcs_onnx.graph import AttributeValue, Node, Opaque
from alcs_onnx.graph.functions import SPARSE_CONVS
from alcs_onnx.graph.macs import inner_graphs, node_macs
from alcs_onnx.graph.sparse_conv import weight_inputs, weight_shape
from alcs_onnx.pipeline.inspect.layers import layer_facts
from alcs_onnx.pipeline.inspect.result import ModelFacts, NodeFacts, TensorFacts
from alcs_onnx.pipeline.inspect.subject import Subject
from alcs_onnx.pipeline.inspect.weights import is_parameter, weight_count
from alcs_onnx.sparse_format import OP_DOMAIN
from alcs_onnx.types import Shape

#: Numbers of a list, and characters of a text, that are shown of an attribute.
_LONGEST_LIST, _LONGEST_TEXT = 8, 60


def model_facts(subject: Subject, simd_group: int) -> ModelFacts:
    """What is in the file, and what `optimize` would do with groups of `simd_group` weights."""
    file = subject.file
    seen: set[str] = set()
    nodes = tuple(_node_facts(subject, node, seen) for node in file.model.nodes)
    zeros = {
        weight.sources: weight_count(weight) - weight.nonzero for weight in subject.weights.values()
    }
    parameters = sum(node.parameters for node in nodes)
    return ModelFacts(
        file=str(subject.path),
        file_bytes=file.file_bytes,
        ir_version=file.model.ir_version,
        opsets={"ai.onnx": file.model.opset, **file.model.other_opsets},
        producer=file.producer,
        inputs=tuple(TensorFacts(x.name, x.dtype, x.shape) for x in file.inputs),
        outputs=tuple(TensorFacts(x.name, x.dtype, x.shape) for x in file.outputs),
        operators=dict(Counter(operator(node) for node in file.model.nodes).most_common()),
        nodes=nodes,
        layers=layer_facts(subject, simd_group),
        macs=sum(node.macs or 0 for node in nodes),
        kept_macs=sum(node.kept_macs or 0 for node in nodes),
        unknown_macs=sum(node.macs is None for node in nodes),
        parameters=parameters,
        kept_parameters=parameters - sum(zeros.values()),
        weight_bytes=sum(node.weight_bytes for node in nodes),
        optimized=any(node.domain == OP_DOMAIN for node in file.model.nodes),
        problem=subject.problem,
        notes=subject.notes,
    )


def operator(node: Node) -> str:
    """The operator, after its domain where that is not ONNX's own."""
    return f"{node.domain}::{node.op_type}" if node.domain else node.op_type


def _node_facts(subject: Subject, node: Node, seen: set[str]) -> NodeFacts:
    model = subject.file.model
    weight = subject.weights.get(node.name)
    macs = node_macs(model, node)
    kept = macs
    if macs and weight is not None:
        # Every weight is used equally often.
        kept = macs * weight.nonzero // weight_count(weight)
    activations = tuple(dict.fromkeys(n for n in node.reads if n not in model.initializers))
    outputs = tuple(name for name in node.outputs if name)
    parameters, weight_bytes = _parameters(subject, node, seen)
    shape: Shape | None = None
    if weight is not None:
        shape = tuple(weight.array.shape)
    elif node.is_ours(*SPARSE_CONVS):
        shape = weight_shape(node)
    return NodeFacts(
        name=node.name,
        op=node.op_type,
        domain=node.domain,
        inputs=activations,
        outputs=outputs,
        input_shapes=tuple(subject.file.shape(name) for name in activations),
        output_shapes=tuple(subject.file.shape(name) for name in outputs),
        weight_shape=shape,
        macs=macs,
        kept_macs=kept,
        parameters=parameters,
        weight_bytes=weight_bytes,
        attributes={name: _text(value) for name, value in sorted(node.attributes.items())},
    )


def _parameters(subject: Subject, node: Node, seen: set[str]) -> tuple[int, int]:
    """Values in constants that `node` is the first to read, and their bytes."""
    initializers = subject.file.model.initializers
    new = [n for n in dict.fromkeys(node.reads) if n in initializers and n not in seen]
    seen.update(new)
    count = size = 0
    stored: Sequence[str] = ()
    if node.is_ours(*SPARSE_CONVS):
        stored = weight_inputs(node)
        if any(name in new for name in stored):
            count += prod(weight_shape(node))
    for name in new:
        array = initializers[name]
        if name in stored:
            size += array.nbytes
        elif is_parameter(array):
            count += array.size
            size += array.nbytes
    for graph in inner_graphs(node):
        for tensor in graph.initializer:
            count += prod(tensor.dims)
            size += tensor.ByteSize()
    return count, size


def _text(value: AttributeValue) -> str:
    """An attribute in a few characters."""
    if isinstance(value, Opaque):
        return "graph" if value.captures else "..."
    if isinstance(value, np.ndarray):
        if value.size > _LONGEST_LIST:
            return f"{value.dtype.name} [{','.join(map(str, value.shape))}]"
        value = tuple(value.reshape(-1).tolist())
    if isinstance(value, tuple):
        shown = ",".join(_text(item) for item in value[:_LONGEST_LIST])
        return shown + (",..." if len(value) > _LONGEST_LIST else "")
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 3] + "..."
