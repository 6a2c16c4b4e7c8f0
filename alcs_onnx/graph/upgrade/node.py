"""One node on its way to a newer opset, as a rule sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from alcs_onnx.errors import UnsupportedError
from alcs_onnx.graph.upgrade.scope import Scope

#: What a Constant node calls an attribute of that type. (As an input it has the same shape.)
_CONSTANT_OF = {
    onnx.AttributeProto.FLOAT: "value_float",
    onnx.AttributeProto.INT: "value_int",
    onnx.AttributeProto.FLOATS: "value_floats",
    onnx.AttributeProto.INTS: "value_ints",
}


class NodeUpgrade:
    """A node that a rule edits in place, and the nodes that have to stand around it.

    `node` keeps its name; who reads its outputs must find the same values there afterwards.
    """

    def __init__(self, node: onnx.NodeProto, scope: Scope) -> None:
        self.node, self.scope = node, scope
        self._before: list[onnx.NodeProto] = []
        self._after: list[onnx.NodeProto] = []

    @property
    def nodes(self) -> list[onnx.NodeProto]:
        """All nodes that stand for the original one, in topological order."""
        return [*self._before, self.node, *self._after]

    def input(self, index: int) -> str:
        """Name of input `index`, "" where it is absent."""
        return self.node.input[index] if index < len(self.node.input) else ""

    def set_inputs(self, *inputs: str) -> None:
        """Replace all inputs; absent ones at the end are left out."""
        while inputs and not inputs[-1]:
            inputs = inputs[:-1]
        self.node.input[:] = inputs

    def replace(self, op_type: str, *inputs: str) -> None:
        """Make another operator of the node, without attributes; its outputs stay."""
        self.node.op_type = op_type
        del self.node.attribute[:]
        self.set_inputs(*inputs)

    def element_type(self, tensor: str) -> int:
        """The ONNX element type of `tensor`.

        Where the file does not tell (in local functions) it is taken for float32, the type that
        the operators with rules were made for.
        """
        return self.scope.types.get(tensor, onnx.TensorProto.FLOAT)

    def take(self, attribute: str) -> onnx.AttributeProto | None:
        """Remove an attribute from the node and return it; None where the node has none."""
        for index, found in enumerate(self.node.attribute):
            if found.name == attribute:
                taken = onnx.AttributeProto()
                taken.CopyFrom(found)
                del self.node.attribute[index]
                return taken
        return None

    def set(self, **attributes: Any) -> None:
        """Add attributes that the node does not have."""
        self.node.attribute.extend(helper.make_attribute(k, v) for k, v in attributes.items())

    def constant(self, value: npt.ArrayLike, element_type: int, suffix: str) -> str:
        """A constant tensor that stands before the node."""
        dtype = helper.tensor_dtype_to_np_dtype(element_type)
        with np.errstate(over="ignore"):  # the ends of float32 are infinite as float16
            tensor = numpy_helper.from_array(np.asarray(value, dtype))
        return self.before("Constant", [], suffix, value=tensor)

    def as_input(
        self, attribute: str, suffix: str | None = None, element_type: int | None = None
    ) -> str:
        """Take an attribute off and return a constant of its value, "" where it is absent.

        A number becomes a scalar, a list a vector. `element_type` is that of the constant: by
        default int64 or float32, as the attribute is. In a local function an attribute may be
        given by the caller, and so is the constant then.
        """
        taken = self.take(attribute)
        if taken is None:
            return ""
        suffix = suffix or attribute
        if taken.ref_attr_name:
            taken.name = _CONSTANT_OF[taken.type]
            return self.before("Constant", [], suffix, value=taken)
        whole = taken.type in (onnx.AttributeProto.INT, onnx.AttributeProto.INTS)
        kind = onnx.TensorProto.INT64 if whole else onnx.TensorProto.FLOAT
        return self.constant(helper.get_attribute_value(taken), element_type or kind, suffix)

    def before(self, op_type: str, inputs: Sequence[str], suffix: str, **attributes: Any) -> str:
        """A node of one output that stands before this one; returns the output's name.

        An attribute may be one that was taken, under its name there.
        """
        output = self.fresh(suffix)
        taken = [a for a in attributes.values() if isinstance(a, onnx.AttributeProto)]
        plain = {k: a for k, a in attributes.items() if not isinstance(a, onnx.AttributeProto)}
        self._before.append(helper.make_node(op_type, inputs, [output], output, **plain))
        self._before[-1].attribute.extend(taken)
        return output

    def after(self, op_type: str, inputs: Sequence[str], output: str, **attributes: Any) -> None:
        """A node of one output that stands right behind this one, before such nodes so far."""
        name = self.fresh(op_type)
        self.scope.names.note_read(inputs)
        self._after.insert(0, helper.make_node(op_type, inputs, [output], name, **attributes))

    def rename_output(self, index: int) -> tuple[str, str]:
        """Give output `index` a new name, for `after`; returns the old name and the new one."""
        old = self.node.output[index]
        new = self.fresh(old)
        self.node.output[index] = new
        return old, new

    def unsupported(self, why: str) -> UnsupportedError:
        """The error to raise where no newer form of the node computes the same."""
        label = self.node.name or next(filter(None, self.node.output), "")
        return UnsupportedError(f"node '{label}' ({self.node.op_type}): {why}")

    def fresh(self, suffix: str) -> str:
        """A name that the model does not have yet, made of the node's and `suffix`."""
        base = self.node.name or next(filter(None, self.node.output), self.node.op_type)
        return self.scope.names.fresh(f"{base}_{suffix}")
