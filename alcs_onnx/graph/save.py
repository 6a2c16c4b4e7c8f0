"""Writing a model: bytes, or a file that appears whole or not at all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx
from onnx import numpy_helper

from alcs_onnx.errors import ModelError
from alcs_onnx.files import replacing, write_atomically
from alcs_onnx.graph.functions import used_functions
from alcs_onnx.graph.model import Model
from alcs_onnx.graph.proto import ONNX_ERRORS, element_type, value_info, write_proto
from alcs_onnx.sparse_format import OP_DOMAIN

#: Protobuf messages end at 2 GB; some room is left for everything but the weights.
_LIMIT = 2**31 - 2**26


def _finished_proto(model: Model, declare_large: bool = False) -> onnx.ModelProto:
    model = _symbolic_outputs(model) if model.dynamic_batch else model
    functions = used_functions(model.nodes, model.opset)
    proto = write_proto(model, declare_large=declare_large, functions=functions)
    if not model.dynamic_batch:
        # Other tools cannot see through our operators: tell them the shapes behind.
        outputs = {info.name for info in model.outputs}
        proto.graph.value_info.extend(
            value_info(name, model.dtypes[name], model.shapes[name])
            for node in model.nodes
            if node.domain == OP_DOMAIN
            for name in node.outputs
            if name in model.shapes and name in model.dtypes and name not in outputs
        )
    return proto


def _symbolic_outputs(model: Model) -> Model:
    """Outputs with -1 wherever a dimension follows the batch.

    Everything is inferred with the symbolic batch; what inference cannot tell is left open
    rather than declared wrongly.
    """
    proto = write_proto(
        model, declare_large=True, functions=used_functions(model.nodes, model.opset)
    )
    del proto.graph.output[:]
    proto.graph.output.extend(onnx.ValueInfoProto(name=info.name) for info in model.outputs)
    try:
        inferred = onnx.shape_inference.infer_shapes(proto, data_prop=True)
    except ONNX_ERRORS:
        inferred = proto
    found = {info.name: info.type.tensor_type for info in inferred.graph.output}
    outputs = []
    for info in model.outputs:
        tensor = found[info.name]
        shape = (
            tuple(d.dim_value if d.HasField("dim_value") else -1 for d in tensor.shape.dim)
            if tensor.HasField("shape")
            else tuple(-1 for _ in info.shape)
        )
        outputs.append(replace(info, shape=shape))
    return replace(model, outputs=tuple(outputs))


def serialize(model: Model) -> bytes:
    """The model as ONNX bytes, function definitions included; `ModelError` beyond 2 GB."""
    if model.weight_bytes > _LIMIT:
        raise ModelError("the model is larger than 2 GB and can only be saved to a file")
    data: bytes = _finished_proto(model).SerializeToString(deterministic=True)
    return data


def save_model(model: Model, path: str | Path) -> None:
    """Write `model` to `path` through `files.replacing`.

    Beyond 2 GB the weights go to `<name>.data` beside it. Raises `OutputError`, leaving an
    existing file as it was.
    """
    path = Path(path)
    if model.weight_bytes > _LIMIT:
        _save_external(model, path)
    else:
        write_atomically(path, serialize(model))


def _save_external(model: Model, path: Path) -> None:
    """Large initializers in one raw file beside the model, each aligned to 64 bytes.

    Both files are whole before either takes its place, and the model does last, so that it never
    speaks of weights that are not there.
    """
    proto = _finished_proto(model, declare_large=True)
    declared = {info.name for info in proto.graph.input}
    large = {name: array for name, array in model.initializers.items() if name in declared}
    kept = [info for info in proto.graph.input if info.name not in large]
    del proto.graph.input[:]
    proto.graph.input.extend(kept)
    location = f"{path.name}.data"
    with replacing(path) as model_file, replacing(path.with_name(location)) as data_file:
        with data_file.open("wb") as file:
            for name, array in large.items():
                file.write(b"\0" * (-file.tell() % 64))
                tensor = proto.graph.initializer.add(name=name, dims=array.shape)
                tensor.data_type = element_type(array.dtype)
                tensor.data_location = onnx.TensorProto.EXTERNAL
                # Not the array's own bytes: elements of 4 bits lie two to a byte in a file.
                data = numpy_helper.from_array(array).raw_data
                place = {"location": location, "offset": file.tell(), "length": len(data)}
                for key, value in place.items():
                    tensor.external_data.add(key=key, value=str(value))
                file.write(data)
        model_file.write_bytes(proto.SerializeToString(deterministic=True))
