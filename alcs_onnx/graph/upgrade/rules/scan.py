"""Scan."""

from __future__ import annotations

import onnx
from onnx import helper

from alcs_onnx.graph.upgrade.node import NodeUpgrade
from alcs_onnx.graph.upgrade.registry import upgrades

_Infos = list[onnx.ValueInfoProto]


@upgrades("Scan", below=9)
def scan_8(node: NodeUpgrade) -> None:
    """9: there is no batch axis, no `sequence_lens`, and `directions` has another name.

    Until 8 every tensor has a batch in front: states (N, ...), scanned tensors (N, S, ...). A Scan
    over the batch does the same, whose body is the original Scan over one sequence.
    """
    if node.input(0):
        raise node.unsupported("sequence_lens of Scan before opset 9 cannot be upgraded")
    outer = list(node.node.input[1:])
    inner = onnx.NodeProto()
    inner.CopyFrom(node.node)
    inner.name = node.fresh("sequence")
    for attribute in inner.attribute:
        if attribute.name == "directions":
            attribute.name = "scan_input_directions"
    body = next(a.g for a in inner.attribute if a.name == "body")
    inputs = [_like(info, node.fresh(info.name)) for info in body.input]
    outputs = [_like(info, node.fresh(info.name)) for info in body.output]
    inner.input[:] = [info.name for info in inputs]
    present = [index for index, name in enumerate(inner.output) if name]
    for index in present:
        inner.output[index] = outputs[index].name
    del node.node.attribute[:]
    shown = [outputs[index] for index in present]
    node.set(
        body=helper.make_graph([inner], node.fresh("batch"), inputs, shown),
        num_scan_inputs=len(outer),
    )
    node.set_inputs(*outer)
    node.node.output[:] = [name for name in node.node.output if name]


def _like(info: onnx.ValueInfoProto, name: str) -> onnx.ValueInfoProto:
    """A declaration of the element type of `info`; the shape is left to inference."""
    element = info.type.tensor_type.elem_type or onnx.TensorProto.FLOAT
    return helper.make_tensor_value_info(name, element, None)
