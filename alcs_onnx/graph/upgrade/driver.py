"""Raising the opset of a whole model, node by node."""

from __future__ import annotations

import onnx

from alcs_onnx.graph.proto import subgraphs
from alcs_onnx.graph.upgrade.below_7 import convert
from alcs_onnx.graph.upgrade.node import NodeUpgrade
from alcs_onnx.graph.upgrade.registry import Rise, next_rule
from alcs_onnx.graph.upgrade.scope import (
    DEFAULT_DOMAINS,
    Names,
    Scope,
    default_opset,
    set_opset,
    with_types,
)

#: The opset that models rise to: the first one with the operators that function bodies need.
TARGET = 12
#: The last opset that models can be raised to.
NEWEST = 13
#: The first opset that ONNX Runtime promises to run, and that the rules start from.
OLDEST = 7


def upgrade(proto: onnx.ModelProto, target: int = TARGET) -> onnx.ModelProto:
    """A model that computes the same as `proto`, of opset `target` at least.

    `proto` itself if its opset is that already. Else a copy in which only such nodes differ,
    in the graph, its subgraphs and the local functions, whose operator changed meanwhile.
    `target` is at most `NEWEST`, the last opset with rules for all that changed until then.
    Raises `UnsupportedError` naming the node or operator that cannot be brought there.
    """
    version = default_opset(proto.opset_import)
    if version >= target:
        return proto
    if version < OLDEST:
        upgraded, version = convert(proto, OLDEST), OLDEST
    else:
        upgraded = onnx.ModelProto()
        upgraded.CopyFrom(proto)
    outside = Scope(Names(upgraded), {}, {}, {})
    _upgrade_graph(upgraded.graph, with_types(upgraded).graph, Rise(version, target), outside)
    set_opset(upgraded.opset_import, target)
    for function in upgraded.functions:
        _upgrade_function(function, target, outside)
    return upgraded


def _upgrade_function(function: onnx.FunctionProto, target: int, outside: Scope) -> None:
    version = default_opset(function.opset_import)
    if not version or version >= target:
        return
    body = onnx.GraphProto(node=function.node)
    _upgrade_graph(body, body, Rise(version, target), outside)
    del function.node[:]
    function.node.extend(body.node)
    set_opset(function.opset_import, target)


def _upgrade_graph(
    graph: onnx.GraphProto, typed: onnx.GraphProto, rise: Rise, outside: Scope
) -> None:
    """Upgrade the nodes of `graph` in place; `typed` is the same graph with its types."""
    scope = outside.inside(graph, typed)
    nodes: list[onnx.NodeProto] = []
    for node, annotated in zip(graph.node, list(typed.node), strict=True):
        for own, known in zip(node.attribute, annotated.attribute, strict=True):
            for inner, typed_inner in zip(subgraphs(own), subgraphs(known), strict=True):
                _upgrade_graph(inner, typed_inner, rise, scope)
        nodes += _upgrade_node(node, rise, scope)
    del graph.node[:]
    graph.node.extend(nodes)


def _upgrade_node(node: onnx.NodeProto, rise: Rise, scope: Scope) -> list[onnx.NodeProto]:
    """What stands for `node` in the opset that is risen to.

    A rule may put nodes beside it whose own operators changed later.
    """
    upgraded = onnx.NodeProto()
    upgraded.CopyFrom(node)
    rule = next_rule(node.op_type, rise) if node.domain in DEFAULT_DOMAINS else None
    if rule is None:
        return [upgraded]
    work = NodeUpgrade(upgraded, scope)
    rule.apply(work)
    rest = Rise(rule.to, rise.to)
    return [made for part in work.nodes for made in _upgrade_node(part, rest, scope)]
