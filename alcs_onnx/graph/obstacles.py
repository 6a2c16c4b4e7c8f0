"""What stands between a model and sparse convolutions, in words for its users."""

from __future__ import annotations

from collections.abc import Collection

import onnx

from alcs_onnx.graph.macs import inner_graphs
from alcs_onnx.graph.model import Model, Node
from alcs_onnx.op_traits import qualified

#: What ONNX Runtime makes of convolutions when it saves a model that it has optimised.
_OF_THE_RUNTIME = frozenset(
    {
        ("com.microsoft", "FusedConv"),
        ("com.microsoft", "NhwcFusedConv"),
        ("com.microsoft", "NhwcConv"),
        ("com.microsoft.nchwc", "Conv"),
    }
)
#: Convolutions in integers.
_QUANTIZED = frozenset({("", "ConvInteger"), ("", "QLinearConv"), ("com.microsoft", "QLinearConv")})


def told(node: Node) -> str:
    """`node 'c1' (FusedConv)`."""
    return f"node '{node.name}' ({node.op_type})"


def saved_by_runtime(node: Node) -> str:
    """What is wrong with a convolution that ONNX Runtime wrote; empty for any other node."""
    if (node.domain, node.op_type) not in _OF_THE_RUNTIME:
        return ""
    return (
        f"{told(node)} is a {qualified(node.domain, node.op_type)}: "
        "the file was saved by ONNX Runtime after optimisation; give the original"
    )


def unknown_shape(model: Model, tensor: str) -> str:
    """Why the shape of `tensor` is not known: the first node on the way to it that hides it."""
    node, seen = model.producer(tensor), set[str]()
    while node is not None and node.name not in seen:
        seen.add(node.name)
        open_inputs = [name for name in node.reads if name not in model.shapes]
        before = next((p for p in map(model.producer, open_inputs) if p is not None), None)
        if before is None:
            called = f"{told(node)} of domain '{node.domain}'" if node.domain else told(node)
            how = ""
            if node.domain:
                how = f": a value_info of '{_open_output(model, node)}' with fixed sizes would"
            elif node.is_op("Loop"):
                how = ", which may change from round to round"
            reason = f"{called} does not tell the shape of its result{how}"
            return saved_by_runtime(node) or reason
        node = before
    return "the file does not tell it"


def _open_output(model: Model, node: Node) -> str:
    return next(name for name in node.outputs if name and name not in model.shapes)


def no_conv(model: Model) -> str:
    """Why there is no Conv node in the main graph of `model`, as far as that can be told."""
    for node in model.nodes:
        if reason := saved_by_runtime(node):
            return reason
    inside = {node.name: _convs_inside(node) for node in model.nodes}
    hidden = [node for node in model.nodes if inside[node.name]]
    if hidden:
        count = sum(inside.values())
        return (
            f"all Conv nodes of the model ({count}) are inside {_listed(hidden)}, "
            "whose branches are left as they are, so there is nothing to optimize"
        )
    quantized = [node for node in model.nodes if (node.domain, node.op_type) in _QUANTIZED]
    if quantized:
        return (
            f"the convolutions of the model are quantized already, as {_listed(quantized)}: "
            "give the model of before quantization"
        )
    dropped = 0 if model.origin is None else _convs_in(model.origin.proto.graph)
    if dropped:
        return (
            f"no Conv node of the file ({dropped}) works on an input: their results are constants, "
            "or no output needs them, so there is nothing to optimize"
        )
    return "the model has no Conv node, so there is nothing to optimize"


def _convs_inside(node: Node) -> int:
    return sum(map(_convs_in, inner_graphs(node)))


def _convs_in(graph: onnx.GraphProto) -> int:
    return sum(node.op_type == "Conv" and node.domain in ("", "ai.onnx") for node in graph.node)


def _listed(nodes: Collection[Node]) -> str:
    """The first of `nodes`, and how many more there are."""
    first = told(next(iter(nodes)))
    return first if len(nodes) == 1 else f"{first} and {len(nodes) - 1} more"
