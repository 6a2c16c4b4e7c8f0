"""Nodes of a function body, written one operator call a line."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper


class FunctionBody:
    """Collects the nodes of a function body; every method returns a tensor name."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []

    def op(self, op_type: str, *inputs: str, out: str | None = None, **attributes: Any) -> str:
        """A call of a standard operator; its first output, called `out` if that is given."""
        out = out or f"{op_type.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op_type, inputs, [out], **attributes))
        return out

    def constant(self, *values: int) -> str:
        """A vector of int64."""
        return self.op("Constant", value_ints=list(values))

    def array(self, value: Any) -> str:
        """A constant of any element type and shape."""
        return self.op("Constant", value=numpy_helper.from_array(value))

    def zeros(self, shape: str, dtype: type[np.generic]) -> str:
        """Zeros of a shape that is a tensor."""
        value = numpy_helper.from_array(np.zeros(1, dtype))
        return self.op("ConstantOfShape", shape, value=value)

    def referred(self, attribute: str, field: str, kind: int) -> str:
        """A constant taken from an attribute of the function."""
        node = helper.make_node("Constant", [], [f"attr_{attribute}"])
        node.attribute.append(
            onnx.AttributeProto(name=field, ref_attr_name=attribute, type=kind)  # type: ignore[arg-type]
        )
        self.nodes.append(node)
        return f"attr_{attribute}"

    def int_vector(self, attribute: str) -> str:
        """An integer attribute as a vector of one element."""
        scalar = self.referred(attribute, "value_int", onnx.AttributeProto.INT)
        return self.op("Reshape", scalar, self.constant(1))

    def refer(self, name: str, kind: int) -> None:
        """Hand the function's attribute `name` on to the node added last."""
        refer(self.nodes[-1], name, kind)


def refer(node: onnx.NodeProto, name: str, kind: int, to: str | None = None) -> None:
    """Let attribute `name` of `node` be the function's attribute `to` (default: the same)."""
    node.attribute.append(
        onnx.AttributeProto(name=name, ref_attr_name=to or name, type=kind)  # type: ignore[arg-type]
    )
