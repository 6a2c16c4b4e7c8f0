"""Which of a file's own functions are called."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import onnx

from alcs_onnx.graph.proto import subgraphs

#: Domain, name and overload.
FunctionId = tuple[str, str, str]


def function_id(function: onnx.FunctionProto) -> FunctionId:
    """What calls of `function` name."""
    return function.domain, function.name, function.overload


def called_id(node: onnx.NodeProto) -> FunctionId:
    """The function that `node` calls, if it is a call."""
    return node.domain, node.op_type, node.overload


def called_functions(
    nodes: Iterable[onnx.NodeProto], functions: Iterable[onnx.FunctionProto]
) -> set[FunctionId]:
    """Those of `functions` that `nodes` call: in subgraphs and through other functions, too."""
    bodies = {function_id(function): function.node for function in functions}
    found: set[FunctionId] = set()
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        waiting += _inner(node)
        called = called_id(node)
        if called in bodies and called not in found:
            found.add(called)
            waiting += bodies[called]
    return found


def _inner(node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
    for attribute in node.attribute:
        for graph in subgraphs(attribute):
            yield from graph.node
