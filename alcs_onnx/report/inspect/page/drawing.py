"""The graph of an inspected file: its nodes, inputs and outputs, and what their colours say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from alcs_onnx.pipeline.inspect.result import NodeFacts, TensorFacts
from alcs_onnx.report.html.blocks import facts
from alcs_onnx.report.html.colouring import Colouring, by_amount, by_kind
from alcs_onnx.report.html.graph import GraphNode, graph
from alcs_onnx.report.html.markup import Markup, element, join
from alcs_onnx.report.inspect.page.details import node_details, templates
from alcs_onnx.report.inspect.page.index import Index
from alcs_onnx.report.inspect.page.kinds import KINDS, kind_of
from alcs_onnx.report.inspect.page.texts import what_optimize_does
from alcs_onnx.report.layout import count_text, ms, percent, shape_text
from alcs_onnx.sparse_format import OP_DOMAIN

_END = "input or output"
_PRUNED = "weights can be pruned"
_WHOLE = "converted, weights stay whole"
_LEFT = "left alone"
_NO_LAYER = "no layer"


def draw(index: Index, first: str = "kind") -> Markup:
    """The block of the graph. Its numbers are: inputs, nodes, outputs.

    It is coloured by the colouring `first` to begin with, where the inspection has it.
    """
    model = index.found.model
    nodes = [
        *(_end("input", tensor) for tensor in model.inputs),
        *(_node(index, node) for node in index.nodes),
        *(_end("output", tensor) for tensor in model.outputs),
    ]
    colourings = sorted(_colourings(index), key=lambda one: one.id != first)
    return graph(nodes, list(_edges(index)), colourings, templates=templates(index))


def _edges(index: Index) -> Iterator[tuple[int, int]]:
    model = index.found.model
    makers = {tensor.name: i for i, tensor in enumerate(model.inputs)}
    first = len(makers)
    for number, node in enumerate(index.nodes, first):
        for name in node.inputs:
            if name in makers:
                yield makers[name], number
        makers.update((name, number) for name in node.outputs)
    for number, tensor in enumerate(model.outputs, first + len(index.nodes)):
        if tensor.name in makers:
            yield makers[tensor.name], number


def _node(index: Index, node: NodeFacts) -> GraphNode:
    groups = index.groups_of.get(node.name, ())
    return GraphNode(
        key=node.name,
        title=node.op,
        lines=(node.name, ", ".join(map(shape_text, node.output_shapes))),
        details=node_details(index, node),
        groups=[str(number) for number in groups],
    )


def _end(what: str, tensor: TensorFacts) -> GraphNode:
    known = {"Type": tensor.dtype, "Shape": shape_text(tensor.shape)}
    title = f"Graph {what}"
    return GraphNode(
        key=f"{what} {tensor.name}",
        title=title,
        lines=(tensor.name, shape_text(tensor.shape)),
        details=join(
            element("h3", {"class": "name"}, tensor.name), facts({"Role": title, **known})
        ),
        small=True,
    )


def _colourings(index: Index) -> Iterator[Colouring]:
    model = index.found.model
    inputs, outputs = [_END] * len(model.inputs), [_END] * len(model.outputs)
    yield by_kind(
        "kind",
        "operator",
        {**KINDS, _END: "none"},
        [*inputs, *map(kind_of, index.nodes), *outputs],
    )
    macs = [node.macs / model.macs if node.macs else None for node in index.nodes]
    yield by_amount(
        "macs", "share of MACs", _padded(index, macs), percent, missing="no multiply-accumulates"
    )
    if index.found.latency is not None:
        times = [index.latency.get(node.name) for node in index.nodes]
        yield by_amount(
            "time",
            "time (ms)",
            _padded(index, [t.ms if t is not None and t.ran_as else None for t in times]),
            ms,
            missing="fused into another, or folded away",
        )
    if index.found.sparsity is not None:
        layers = [index.sparsity.get(node.name) for node in index.nodes]
        yield by_amount(
            "density",
            "density of weights",
            _padded(index, [None if layer is None else layer.density for layer in layers]),
            lambda share: f"{100 * share:.0f} %",
            high=1.0,
            missing="no weights",
        )
    if model.layers or index.groups:
        first = len(model.inputs)
        outlined = [i for i, node in enumerate(index.nodes, first) if node.name in index.frozen]
        yield by_kind(
            "decision",
            what_optimize_does(model),
            {_PRUNED: "step-4", _WHOLE: "kind-4", _LEFT: "kind-8", _NO_LAYER: "none"},
            _padded_kinds(index, [_decision(index, node) for node in index.nodes]),
            outlined=outlined,
            outline="channels are frozen",
        )
    parameters = [node.parameters or None for node in index.nodes]
    yield by_amount(
        "parameters", "parameters", _padded(index, parameters), count_text, missing="no parameters"
    )


def _padded(index: Index, values: Sequence[float | None]) -> list[float | None]:
    """Values of the nodes with none for inputs and outputs around them."""
    model = index.found.model
    return [*[None] * len(model.inputs), *values, *[None] * len(model.outputs)]


def _padded_kinds(index: Index, values: Sequence[str]) -> list[str]:
    model = index.found.model
    return [*[_NO_LAYER] * len(model.inputs), *values, *[_NO_LAYER] * len(model.outputs)]


def _decision(index: Index, node: NodeFacts) -> str:
    layers = index.layers.get(node.name, ())
    if not layers:
        return _NO_LAYER
    if any(layer.prunable for layer in layers):
        return _PRUNED
    stays = node.domain != OP_DOMAIN and all(layer.op == node.op for layer in layers)
    return _LEFT if stays else _WHOLE
