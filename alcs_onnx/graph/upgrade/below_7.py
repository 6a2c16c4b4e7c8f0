"""Opsets before the oldest that ONNX Runtime promises to run are first brought to that one."""

from __future__ import annotations

import onnx
from onnx import version_converter

from alcs_onnx.errors import UnsupportedError
from alcs_onnx.graph.proto import ONNX_ERRORS
from alcs_onnx.graph.upgrade.scope import set_opset, with_types

#: The first IR version whose initializers need not be graph inputs: the converter checks that.
_MIN_IR_VERSION = 4


def convert(proto: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """A copy of `proto` that the onnx package has converted to `opset`.

    Raises `UnsupportedError` naming the node that it does not convert.
    """
    source = onnx.ModelProto()
    source.CopyFrom(proto)
    source.ir_version = max(source.ir_version, _MIN_IR_VERSION)
    try:
        converted = version_converter.convert_version(source, opset)
    except ONNX_ERRORS as error:
        raise UnsupportedError(
            f"opset {source.opset_import[0].version} cannot be raised to {opset}, the oldest that "
            f"is read: {_culprit(source, opset)} has no conversion; export the model again"
        ) from error
    # The converter hands out graph and opset alone: metadata and the like stay the file's.
    source.graph.CopyFrom(converted.graph)
    set_opset(source.opset_import, opset)
    return source


def _culprit(proto: onnx.ModelProto, opset: int) -> str:
    """The first node that is not converted even when it stands alone."""
    typed = with_types(proto).graph
    known = {value.name: value for value in (*typed.input, *typed.value_info, *typed.output)}
    for node in proto.graph.node:
        graph = onnx.GraphProto(name="node", node=[node])
        graph.initializer.extend(t for t in proto.graph.initializer if t.name in node.input)
        constants = {tensor.name for tensor in graph.initializer}
        outside = [name for name in dict.fromkeys(node.input) if name and name not in constants]
        graph.input.extend(known.get(name, onnx.ValueInfoProto(name=name)) for name in outside)
        graph.output.extend(known.get(n, onnx.ValueInfoProto(name=n)) for n in node.output if n)
        alone = onnx.ModelProto(
            ir_version=proto.ir_version, opset_import=proto.opset_import, graph=graph
        )
        try:
            version_converter.convert_version(alone, opset)
        except ONNX_ERRORS:
            return f"node '{node.name}' ({node.op_type})"
    return "one of its nodes"
