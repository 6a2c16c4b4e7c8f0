"""Reading and making ONNX protobuf messages, below nodes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping
from typing import Any

import numpy as np
import onnx
import onnx.version_converter
from onnx import helper, numpy_helper

from alcs_onnx.errors import ModelError, UnsupportedError
from alcs_onnx.graph.model import Array
from alcs_onnx.types import PartialShape, Shape

#: Initializers up to this many elements stay visible to shape inference, which reads
#: shapes, axes, scales and the like from them; larger ones are only declared.
SMALL_TENSOR = 1024

#: The first IR version with functions.
MIN_IR_VERSION = 8

#: Whatever the compiled parts of the onnx package raise about a model.
ONNX_ERRORS = (
    RuntimeError,
    onnx.checker.ValidationError,
    onnx.shape_inference.InferenceError,
    onnx.version_converter.ConvertError,
)


def attribute_captures(attribute: onnx.AttributeProto) -> tuple[str, ...]:
    """Tensors of the enclosing graph that the subgraphs in an attribute read."""
    return tuple(dict.fromkeys(name for g in subgraphs(attribute) for name in _captures(g)))


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


def renamed(node: onnx.NodeProto, names: Mapping[str, str]) -> onnx.NodeProto:
    """A copy of `node` that reads and writes other tensors, in its subgraphs too.

    A name that a subgraph defines itself means its own tensor there, and stays.
    """
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    _rename(copy, names)
    return copy


def _rename(node: onnx.NodeProto, names: Mapping[str, str]) -> None:
    for field in (node.input, node.output):
        for index, name in enumerate(field):
            field[index] = names.get(name, name)
    for attribute in node.attribute:
        for graph in subgraphs(attribute):
            own = {i.name for i in (*graph.input, *graph.initializer)}
            own |= {name for inner in graph.node for name in inner.output}
            outer = {name: new for name, new in names.items() if name not in own}
            for inner in graph.node:
                _rename(inner, outer)
            for info in graph.output:
                info.name = outer.get(info.name, info.name)


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


def free_name(base: str, *taken: Container[str]) -> str:
    """`base`, or `base_1`, `base_2`, ... that none of `taken` has."""
    name, count = base, 0
    while any(name in names for names in taken):
        count += 1
        name = f"{base}_{count}"
    return name


def name_nodes(graph: onnx.GraphProto) -> None:
    """Give the nodes unique, non-empty names; a name that is unique already is kept.

    Before anything moves nodes: a name that counts nodes is then the same for all who read the
    file.
    """
    count = Counter(node.name for node in graph.node)
    good = {name for name in count if name and count[name] == 1}
    taken = set(good)
    for index, node in enumerate(graph.node):
        if node.name in good:
            continue
        node.name = free_name(node.name or f"{node.op_type}_{index}", taken)
        taken.add(node.name)
