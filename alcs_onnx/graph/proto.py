"""Between ONNX protobuf messages and the values of `model.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import onnx
import onnx.version_converter
from onnx import helper, numpy_helper

from alcs_onnx.errors import ModelError, UnsupportedError
from alcs_onnx.graph.model import Array, AttributeValue, Model, Node, Opaque
from alcs_onnx.types import PartialShape, Shape

#: Initializers up to this many elements stay visible to shape inference, which reads
#: shapes, axes, scales and the like from them; larger ones are only declared.
SMALL_TENSOR = 1024

#: Whatever the compiled parts of the onnx package raise about a model.
ONNX_ERRORS = (
    RuntimeError,
    onnx.checker.ValidationError,
    onnx.shape_inference.InferenceError,
    onnx.version_converter.ConvertError,
)

_PLAIN: dict[int, Callable[[onnx.AttributeProto], AttributeValue]] = {
    onnx.AttributeProto.FLOAT: lambda a: float(a.f),
    onnx.AttributeProto.INT: lambda a: int(a.i),
    onnx.AttributeProto.FLOATS: lambda a: tuple(float(v) for v in a.floats),
    onnx.AttributeProto.INTS: lambda a: tuple(int(v) for v in a.ints),
    onnx.AttributeProto.TENSOR: lambda a: numpy_helper.to_array(a.t),
}


def read_attribute(attribute: onnx.AttributeProto) -> AttributeValue:
    """One attribute as a plain value; what has no plain form is kept as `Opaque`."""
    if attribute.type in _PLAIN:
        return _PLAIN[attribute.type](attribute)
    try:
        if attribute.type == onnx.AttributeProto.STRING:
            return attribute.s.decode()
        if attribute.type == onnx.AttributeProto.STRINGS:
            return tuple(s.decode() for s in attribute.strings)
    except UnicodeDecodeError:
        pass
    captured = dict.fromkeys(name for g in subgraphs(attribute) for name in _captures(g))
    return Opaque(attribute.SerializeToString(deterministic=True), tuple(captured))


def subgraphs(attribute: onnx.AttributeProto) -> list[onnx.GraphProto]:
    """The graphs in one attribute."""
    return [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]


def _captures(graph: onnx.GraphProto) -> list[str]:
    """Tensors of the enclosing graph that a subgraph reads, nested subgraphs included."""
    local = {i.name for i in (*graph.input, *graph.initializer)}
    used: list[str] = []
    for node in graph.node:
        inner = [graph for attribute in node.attribute for graph in subgraphs(attribute)]
        used += [*node.input, *(name for g in inner for name in _captures(g))]
        local.update(node.output)
    used += [output.name for output in graph.output]
    return [name for name in used if name and name not in local]


def read_node(proto: onnx.NodeProto) -> Node:
    """One node; the default domain is always the empty string."""
    return Node(
        name=proto.name,
        op_type=proto.op_type,
        domain="" if proto.domain == "ai.onnx" else proto.domain,
        inputs=tuple(proto.input),
        outputs=tuple(proto.output),
        attributes={a.name: read_attribute(a) for a in proto.attribute},
    )


def write_attribute(node: Node, name: str, value: AttributeValue) -> onnx.AttributeProto:
    """The attribute message of `node`'s attribute `name`."""
    if isinstance(value, Opaque):
        kept = onnx.AttributeProto()
        kept.ParseFromString(value.data)
        return kept
    if isinstance(value, np.ndarray):
        return helper.make_attribute(name, numpy_helper.from_array(value))
    if value == ():
        return helper.make_attribute(name, [], attr_type=_empty_list_type(node, name))
    return helper.make_attribute(name, value)


def _empty_list_type(node: Node, name: str) -> int:
    """An empty list does not show its type: ask the operator's schema, else integers."""
    try:
        schema = onnx.defs.get_schema(node.op_type, domain=node.domain)
        return int(schema.attributes[name].type.value)  # type: ignore[attr-defined]
    except (onnx.defs.SchemaError, KeyError):
        return int(onnx.AttributeProto.INTS)


def write_node(node: Node) -> onnx.NodeProto:
    """The node message of `node`, attributes sorted by name."""
    proto = onnx.NodeProto(
        name=node.name,
        op_type=node.op_type,
        domain=node.domain,
        input=node.inputs,
        output=node.outputs,
    )
    proto.attribute.extend(
        write_attribute(node, name, value) for name, value in sorted(node.attributes.items())
    )
    return proto


def element_type(dtype: np.dtype[Any]) -> int:
    """The ONNX element type of a numpy dtype."""
    return int(helper.np_dtype_to_tensor_dtype(dtype))


def numpy_dtype(element: int) -> np.dtype[Any]:
    """The numpy dtype of an ONNX element type; `UnsupportedError` if there is none."""
    try:
        return np.dtype(helper.tensor_dtype_to_np_dtype(element))
    except KeyError as error:
        raise UnsupportedError(f"element type {element} is not supported") from error


def int4_dtype() -> np.dtype[Any] | None:
    """The numpy dtype of signed 4-bit integers; None where the onnx package has none."""
    try:
        dtype = numpy_dtype(onnx.TensorProto.INT4)
    except (AttributeError, UnsupportedError):
        return None
    return dtype if dtype.name == "int4" else None


def value_info(
    name: str, dtype: np.dtype[Any] | None, shape: Iterable[int | str | None] | None
) -> onnx.ValueInfoProto:
    """A tensor declaration; `shape` None means unknown rank, `dtype` None unknown type."""
    if dtype is None:
        return onnx.ValueInfoProto(name=name)
    dims = None if shape is None else [d if d != -1 else None for d in shape]
    return helper.make_tensor_value_info(name, element_type(dtype), dims)


def partial_shape(info: onnx.ValueInfoProto) -> PartialShape | None:
    """The declared shape, None for each size that is no number; None for an unknown rank."""
    tensor = info.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    return tuple(
        d.dim_value if d.HasField("dim_value") and d.dim_value >= 0 else None
        for d in tensor.shape.dim
    )


def static_shape(info: onnx.ValueInfoProto) -> Shape | None:
    """The declared shape when every dimension is a number, else None."""
    dims = partial_shape(info)
    sizes = tuple(dim for dim in dims or () if dim is not None)
    return sizes if dims is not None and len(sizes) == len(dims) else None


def opset_imports(opset: int, others: Mapping[str, int]) -> list[onnx.OperatorSetIdProto]:
    """Opset import messages, the default domain first."""
    return [
        helper.make_opsetid(domain, version)
        for domain, version in (("", opset), *sorted(others.items()))
    ]


def write_proto(
    model: Model, *, declare_large: bool = False, functions: Iterable[onnx.FunctionProto] = ()
) -> onnx.ModelProto:
    """The model message.

    With `declare_large` initializers above `SMALL_TENSOR` elements become graph inputs, so
    that checks and shape inference neither copy weights nor meet protobuf's 2 GB limit.
    """
    graph = onnx.GraphProto(name=model.name)
    graph.node.extend(write_node(node) for node in model.nodes)
    for info in model.inputs:
        dims: list[int | str] = list(info.shape)
        if model.dynamic_batch and info.name in model.batch_inputs and model.batch_axis_name:
            dims[0] = model.batch_axis_name
        graph.input.append(value_info(info.name, info.dtype, dims))
    for info in model.outputs:
        shape = None if info.shape == (-1,) else info.shape
        graph.output.append(value_info(info.name, info.dtype, shape))
    for name, array in model.initializers.items():
        if declare_large and array.size > SMALL_TENSOR:
            graph.input.append(value_info(name, array.dtype, array.shape))
        else:
            graph.initializer.append(numpy_helper.from_array(array, name))
    proto = onnx.ModelProto(
        ir_version=model.ir_version,
        producer_name="alcs-onnx",
        graph=graph,
        opset_import=opset_imports(model.opset, model.other_opsets),
        functions=functions,
    )
    if model.metadata:
        helper.set_model_props(proto, dict(model.metadata))
    return proto


def one_line(error: BaseException) -> str:
    """The first informative line of an error of the onnx package."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def read_initializers(
    graph: onnx.GraphProto, read: Callable[[onnx.TensorProto], Array] = numpy_helper.to_array
) -> dict[str, Array]:
    """All initializers as arrays, sparse ones made dense; `ModelError` names a bad one.

    `read` makes an array of a tensor.
    """
    arrays: dict[str, Array] = {}
    for tensor in graph.initializer:
        if tensor.name in arrays:
            raise ModelError(f"initializer '{tensor.name}' is defined twice")
        try:
            arrays[tensor.name] = read(tensor)
        except (ValueError, TypeError, KeyError, RuntimeError) as error:
            raise ModelError(
                f"initializer '{tensor.name}' cannot be read: {one_line(error)}"
            ) from error
    for sparse in graph.sparse_initializer:
        values = numpy_helper.to_array(sparse.values)
        indices = numpy_helper.to_array(sparse.indices)
        dense = np.zeros(tuple(sparse.dims), dtype=values.dtype)
        try:
            if indices.ndim == 1:
                dense.reshape(-1)[indices] = values
            else:
                dense[tuple(indices.T)] = values
        except (IndexError, ValueError) as error:
            raise ModelError(
                f"sparse initializer '{sparse.values.name}' has indices outside its shape"
            ) from error
        arrays[sparse.values.name] = dense
    return arrays
