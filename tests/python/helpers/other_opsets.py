"""Graphs written for opset 17, as another opset from 9 on wants them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import helper, numpy_helper

#: Operator -> the opset that made inputs of attributes, and these, from the second input on.
_INPUTS: Mapping[str, tuple[int, tuple[str, ...]]] = {
    "Clip": (11, ("min", "max")),
    "Pad": (11, ("pads",)),
    "Slice": (10, ("starts", "ends", "axes")),
    "Split": (13, ("split",)),
    "Squeeze": (13, ("axes",)),
    "Unsqueeze": (13, ("axes",)),
}


def in_opset(proto: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """A copy of `proto` of opset 17 that computes the same in `opset`."""
    changed = onnx.ModelProto()
    changed.CopyFrom(proto)
    changed.ir_version = 8 if opset < 19 else 10
    for entry in changed.opset_import:
        if entry.domain == "":
            entry.version = opset
    constants = {t.name: numpy_helper.to_array(t) for t in proto.graph.initializer}
    nodes: list[onnx.NodeProto] = []
    for node in changed.graph.node:
        nodes += _written(node, opset, constants)
    del changed.graph.node[:], changed.graph.initializer[:]
    changed.graph.node.extend(nodes)
    changed.graph.initializer.extend(
        numpy_helper.from_array(array, name) for name, array in constants.items()
    )
    return changed


def _written(
    node: onnx.NodeProto, opset: int, constants: dict[str, np.ndarray]
) -> list[onnx.NodeProto]:
    since, names = _INPUTS.get(node.op_type, (0, ()))
    if opset < since:
        values = [constants[name] for name in node.input[1:]]
        del node.input[1:]
        for name, value in zip(names, values, strict=False):  # a step of 1 is left out
            node.attribute.append(helper.make_attribute(name, value.tolist()))
    if node.op_type == "HardSwish" and opset < 14:
        gate = f"{node.output[0]}.gate"
        return [
            helper.make_node("HardSigmoid", node.input, [gate], alpha=1 / 6, beta=0.5),
            helper.make_node("Mul", [node.input[0], gate], node.output, node.name),
        ]
    if node.op_type == "ReduceMean" and opset >= 18:
        (axes,) = (a for a in node.attribute if a.name == "axes")
        name = f"{node.output[0]}.axes"
        constants[name] = np.array(list(axes.ints))
        node.attribute.remove(axes)
        node.input.append(name)
    if node.op_type == "Resize" and opset < 11:
        del node.input[1:2]  # there is no roi
        node.op_type = "Resize" if opset == 10 else "Upsample"
    elif node.op_type == "Resize" and opset < 13:
        constants["nothing"] = np.zeros(0, np.float32)  # what is not given is empty
        for index, name in enumerate(node.input):
            node.input[index] = name or "nothing"
    return [node]
