"""Writing a model: bytes, or a file that appears whole or not at all.

A model that was loaded is written as its file with the changes made since (`graph.graft`): inputs,
outputs, names, symbolic sizes, opset, documentation and metadata are the file's own.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO

import onnx
from onnx import helper, numpy_helper

from alcs_onnx.errors import ModelError
from alcs_onnx.files import replacing, write_atomically
from alcs_onnx.graph.calls import called_functions, called_id, function_id
from alcs_onnx.graph.functions import used_functions
from alcs_onnx.graph.graft import Grafted, graft
from alcs_onnx.graph.model import Array, Model, Origin
from alcs_onnx.graph.proto import (
    MIN_IR_VERSION,
    SMALL_TENSOR,
    element_type,
    value_info,
)
from alcs_onnx.graph.surgeon import read_nodes, write_model
from alcs_onnx.graph.upgrade import default_opset, upgrade
from alcs_onnx.reporter import SILENT, Reporter
from alcs_onnx.serialized import Serialized, StoredModel
from alcs_onnx.sparse_format import OP_DOMAIN, OP_VERSION

#: Protobuf messages end at 2 GB; some room is left for everything but the weights.
_LIMIT = 2**31 - 2**26

#: The first IR version whose initializers need not be inputs as well.
_IR_OF_CONSTANTS = 4


def loadable(model: Model, least_opset: int = 0) -> Serialized:
    """The model as the runtime loads it: bytes, beyond 2 GB a temporary file and its weights.

    Where its opset is below `least_opset` (13 at most) the file is raised to that.
    """
    return stored(*_finished(model, least_opset))


def stored(proto: onnx.ModelProto, initializers: Mapping[str, Array]) -> Serialized:
    """The same of a message without its initializers, which is changed."""
    if not too_large(initializers):
        return _whole(proto, initializers)
    folder = tempfile.TemporaryDirectory(prefix="alcs-", ignore_cleanup_errors=True)
    result = StoredModel(Path(folder.name) / "model.onnx", folder)
    _save_external(proto, initializers, result.path)
    return result


def serialize(model: Model, least_opset: int = 0) -> bytes:
    """The model as ONNX bytes, function definitions included; `ModelError` beyond 2 GB.

    Where its opset is below `least_opset` (13 at most) the file is raised to that.
    """
    proto, initializers = _finished(model, least_opset)
    if too_large(initializers):
        raise ModelError("the model is larger than 2 GB and can only be saved to a file")
    return _whole(proto, initializers)


def save_model(model: Model, path: str | Path, reporter: Reporter = SILENT) -> None:
    """Write `model` to `path` through `files.replacing`; `reporter` is told of inlined functions.

    Beyond 2 GB the weights go to `<name>.data` beside it. Up to there they are in the file itself,
    wherever the user's file has them: one file cannot lose its other half. Raises `OutputError`,
    leaving an existing file as it was.
    """
    path = Path(path)
    proto, initializers = _finished(model)
    if model.origin is not None:
        for name in _inlined(model.origin.proto, proto):
            reporter.note(
                f"function '{name}' is written out where it is called: layers changed in it"
            )
    if too_large(initializers):
        _save_external(proto, initializers, path)
    else:
        write_atomically(path, _whole(proto, initializers))


def _inlined(file: onnx.ModelProto, written: onnx.ModelProto) -> list[str]:
    """The functions of the file that its main graph calls less often now."""
    names = {function_id(function): function.name for function in file.functions}
    before, after = (Counter(map(called_id, proto.graph.node)) for proto in (file, written))
    return sorted(name for key, name in names.items() if after[key] < before[key])


def too_large(initializers: Mapping[str, Array]) -> bool:
    """Whether they do not fit into one message."""
    return sum(array.nbytes for array in initializers.values()) > _LIMIT


def _whole(proto: onnx.ModelProto, initializers: Mapping[str, Array]) -> bytes:
    tensors = (numpy_helper.from_array(array, name) for name, array in initializers.items())
    _add_initializers(proto.graph, tensors)
    data: bytes = proto.SerializeToString(deterministic=True)
    return data


def _add_initializers(graph: onnx.GraphProto, tensors: Iterable[onnx.TensorProto]) -> None:
    """Add `tensors`, with the documentation of the like-named ones that are there."""
    documented = {tensor.name: tensor for tensor in graph.initializer}
    del graph.initializer[:]
    for tensor in tensors:
        if tensor.name in documented:
            if documented[tensor.name].doc_string:
                tensor.doc_string = documented[tensor.name].doc_string
            tensor.metadata_props.extend(documented[tensor.name].metadata_props)
        graph.initializer.append(tensor)


def _finished(model: Model, least_opset: int = 0) -> tuple[onnx.ModelProto, Mapping[str, Array]]:
    """The message without its initializers, and these."""
    if model.origin is None:
        functions = used_functions(model.nodes, model.opset)
        arrays = model.initializers
        proto = write_model(model, declare_large=True, functions=functions)
        _undeclare(proto, arrays)
    else:
        proto, arrays = _edited(model, model.origin)
    if default_opset(proto.opset_import) < least_opset:
        proto = _raised(proto, arrays, least_opset)
    return proto, arrays


def _raised(proto: onnx.ModelProto, arrays: Mapping[str, Array], opset: int) -> onnx.ModelProto:
    """A copy of a message without its initializers, which the rules see as inputs."""
    declared = onnx.ModelProto()
    declared.CopyFrom(proto)
    del declared.graph.initializer[:]  # they have their documentation only
    declared.graph.input.extend(
        value_info(name, array.dtype, array.shape) for name, array in arrays.items()
    )
    raised = upgrade(declared, opset)
    _undeclare(raised, arrays)
    raised.graph.initializer.extend(proto.graph.initializer)
    return raised


def _undeclare(proto: onnx.ModelProto, arrays: Mapping[str, Array]) -> None:
    """Leave inputs and initializers that are in `arrays` to these."""
    kept = [info for info in proto.graph.input if info.name not in arrays]
    del proto.graph.input[:], proto.graph.initializer[:]
    proto.graph.input.extend(kept)


def _edited(model: Model, origin: Origin) -> tuple[onnx.ModelProto, Mapping[str, Array]]:
    grafted = graft(model, origin)
    proto = onnx.ModelProto()
    proto.CopyFrom(origin.proto)
    graph = proto.graph
    del graph.node[:]
    graph.node.extend(grafted.nodes)
    initializers = _without_sparse(graph, origin, grafted.initializers)
    _set_functions(proto, origin, model.opset)
    _set_value_infos(proto, model, origin, grafted)
    _declare_outputs(proto, model)
    if initializers:
        proto.ir_version = max(proto.ir_version, _IR_OF_CONSTANTS)
    return proto, initializers


def _without_sparse(
    graph: onnx.GraphProto, origin: Origin, initializers: Mapping[str, Array]
) -> dict[str, Array]:
    """The initializers but for sparse ones of the file that are still the same; these stay."""
    same = {name for name, array in initializers.items() if array is origin.arrays.get(name)}
    kept = [tensor for tensor in graph.sparse_initializer if tensor.values.name in same]
    del graph.sparse_initializer[:]
    graph.sparse_initializer.extend(kept)
    sparse = {tensor.values.name for tensor in kept}
    return {name: array for name, array in initializers.items() if name not in sparse}


def _set_functions(proto: onnx.ModelProto, origin: Origin, opset: int) -> None:
    """The bodies of those of our operators that the file now has, and what they ask of it.

    The user's functions stay, but for those whose last call is gone.
    """
    nodes = read_nodes(node for node in proto.graph.node if node.domain == OP_DOMAIN)
    ours = used_functions(nodes, opset)
    own = [function for function in proto.functions if function.domain != OP_DOMAIN]
    gone = called_functions(origin.proto.graph.node, own) - called_functions(proto.graph.node, own)
    others = [function for function in own if function_id(function) not in gone]
    imports = [entry for entry in proto.opset_import if entry.domain != OP_DOMAIN]
    del proto.functions[:], proto.opset_import[:]
    proto.functions.extend([*others, *ours])
    proto.opset_import.extend(imports)
    if ours:
        proto.opset_import.append(helper.make_opsetid(OP_DOMAIN, OP_VERSION))
        proto.ir_version = max(proto.ir_version, MIN_IR_VERSION)


def _set_value_infos(
    proto: onnx.ModelProto, model: Model, origin: Origin, grafted: Grafted
) -> None:
    """Declarations of tensors that are still there; other tools cannot see through our operators,
    so the shapes of their results are declared as well."""
    graph = proto.graph
    kept = [
        info
        for info in graph.value_info
        if info.name not in grafted.gone
        and not (info.name in grafted.reshaped and _contradicted(info, model, origin.base))
    ]
    named = {*(info.name for info in kept), *(info.name for info in graph.output)}
    ours = {n for node in graph.node if node.domain == OP_DOMAIN for n in node.output}
    for name in sorted((ours & grafted.placed) - named):
        if name in model.shapes and name in model.dtypes:
            varying = model.varying_axes(name)
            dims = [None if a in varying else d for a, d in enumerate(model.shapes[name])]
            kept.append(value_info(name, model.dtypes[name], dims))
    del graph.value_info[:]
    graph.value_info.extend(kept)


def _contradicted(info: onnx.ValueInfoProto, model: Model, base: Model) -> bool:
    """Whether a declaration has a number where the size has changed, or may have."""
    now, before = model.shapes.get(info.name), base.shapes.get(info.name)
    dims = info.type.tensor_type.shape.dim
    if now is None or before is None or not len(now) == len(before) == len(dims):
        return any(dim.HasField("dim_value") for dim in dims)
    return any(
        a != b and dim.HasField("dim_value") for a, b, dim in zip(now, before, dims, strict=True)
    )


def _declare_outputs(proto: onnx.ModelProto, model: Model) -> None:
    """What a declaration of an output lacks, or says of one batch only, is set right.

    1. Where it fixes a size that follows an open size of the inputs, the size is opened. (A runtime
       would warn of every other batch otherwise.)
    2. Where it has no shape at all, it gets what is known of it, if its rank is always the same.

    An open size takes the symbol of the input that always has the same one, where there is one.
    """
    symbols: dict[tuple[int, int], str] = {}
    for info in proto.graph.input:
        for axis, dim in enumerate(info.type.tensor_type.shape.dim):
            if dim.dim_param and axis in model.varying_axes(info.name):
                symbols.setdefault(_sizes(model, info.name, axis), dim.dim_param)
    known = {info.name: info.shape for info in model.outputs}
    for info in proto.graph.output:
        tensor = info.type.tensor_type
        if info.type.WhichOneof("value") not in (None, "tensor_type"):
            continue
        if not tensor.HasField("shape") and known[info.name] != (-1,) and _one_rank(model, info):
            tensor.elem_type = tensor.elem_type or element_type(model.dtypes[info.name])
            tensor.shape.SetInParent()
            for size in known[info.name]:
                dim = tensor.shape.dim.add()
                if size >= 0:
                    dim.dim_value = size
        for axis in model.varying_axes(info.name):
            if axis < len(tensor.shape.dim) and tensor.shape.dim[axis].HasField("dim_value"):
                tensor.shape.dim[axis].ClearField("dim_value")
                symbol = symbols.get(_sizes(model, info.name, axis))
                if symbol:
                    tensor.shape.dim[axis].dim_param = symbol


def _one_rank(model: Model, info: onnx.ValueInfoProto) -> bool:
    """Whether an output has as many axes at all sizes (a Squeeze of all axes of 1 may not)."""
    here, there = model.shapes.get(info.name), model.other_shapes.get(info.name)
    return here is None or there is None or len(here) == len(there)


def _sizes(model: Model, tensor: str, axis: int) -> tuple[int, int]:
    """The size of an axis at both sets of input sizes."""
    return model.shapes[tensor][axis], model.other_shapes[tensor][axis]


def _save_external(proto: onnx.ModelProto, initializers: Mapping[str, Array], path: Path) -> None:
    """Large initializers in one raw file beside the model, each aligned to 64 bytes.

    Both files are whole before either takes its place, and the model does last, so that it never
    speaks of weights that are not there.
    """
    location = f"{path.name}.data"
    with replacing(path) as model_file, replacing(path.with_name(location)) as data_file:
        with data_file.open("wb") as file:
            tensors = (
                numpy_helper.from_array(array, name)
                if array.size <= SMALL_TENSOR or array.dtype == object  # text has no raw form
                else _external_tensor(name, array, file, location)
                for name, array in initializers.items()
            )
            _add_initializers(proto.graph, tensors)
        model_file.write_bytes(proto.SerializeToString(deterministic=True))


def _external_tensor(name: str, array: Array, file: BinaryIO, location: str) -> onnx.TensorProto:
    """The message of a tensor whose values go to the end of `file`, called `location`."""
    file.write(b"\0" * (-file.tell() % 64))
    tensor = onnx.TensorProto(name=name, dims=array.shape, data_type=element_type(array.dtype))
    tensor.data_location = onnx.TensorProto.EXTERNAL
    # Not the array's own bytes: elements of 4 bits lie two to a byte in a file.
    data = numpy_helper.from_array(array).raw_data
    place = {"location": location, "offset": file.tell(), "length": len(data)}
    for key, value in place.items():
        tensor.external_data.add(key=key, value=str(value))
    file.write(data)
    return tensor
