"""The panel of a node: everything that was found out about it."""

from __future__ import annotations

from collections.abc import Mapping

from alcs_onnx.graph.macs import MACS
from alcs_onnx.pipeline.inspect.result import GroupFacts, LayerFacts, LayerSparsity, NodeFacts
from alcs_onnx.report.html.blocks import facts, show
from alcs_onnx.report.html.markup import Markup, element, join
from alcs_onnx.report.inspect.page.curves import curve_name
from alcs_onnx.report.inspect.page.index import Index
from alcs_onnx.report.inspect.page.texts import listed, operator, what_optimize_does
from alcs_onnx.report.layout import bytes_text, count_text, ms, percent, shape_text

#: Groups of a node beyond these are only named.
_GROUPS = 8
_CONTROL_FLOW = ("If", "Loop", "Scan", "SequenceMap")


def node_details(index: Index, node: NodeFacts) -> Markup:
    """The panel of `node`. What several panels share is named by `data-copy`: see `templates`."""
    layers = index.layers.get(node.name, ())
    curves = [layer.layer for layer in layers if layer.layer in index.curves]
    return join(
        element("h3", {"class": "name"}, node.name),
        facts(_node(index, node)),
        _attributes(node),
        *(_decision(index, layer) for layer in layers),
        _sparsity(index.sparsity.get(node.name)),
        _latency(index, node),
        *(_copy(curve_name(layer)) for layer in curves),
        _groups(index, node),
    )


def templates(index: Index) -> dict[str, Markup]:
    """What the panels of several nodes show: each coupling group."""
    return {f"group {i}": _group(index, group) for i, group in enumerate(index.groups)}


def _copy(name: str) -> Markup:
    return element("div", {"data-copy": name})


def _heading(title: str) -> Markup:
    return element("h4", None, title)


def _node(index: Index, node: NodeFacts) -> dict[str, object]:
    known: dict[str, object] = {"Operator": operator(node.domain, node.op)}
    for title, names, shapes in (
        ("Input", node.inputs, node.input_shapes),
        ("Output", node.outputs, node.output_shapes),
    ):
        for i, (name, size) in enumerate(zip(names, shapes, strict=True)):
            label = title if len(names) == 1 else f"{title} {i}"
            called = element("span", {"class": "name quiet"}, name)
            known[label] = join(shape_text(size), " ", called)
    if node.weight_shape is not None:
        known["Weight"] = shape_text(node.weight_shape)
    total = index.found.model.macs
    if node.macs is None:
        known["MACs"] = f"not known: {_unknown(node)}"
    elif node.macs:
        known["MACs"] = f"{count_text(node.macs)} ({percent(node.macs / total)})"
        if node.kept_macs is not None and node.kept_macs < node.macs:
            known["MACs kept"] = (
                f"{count_text(node.kept_macs)} ({percent(node.kept_macs / node.macs)})"
            )
    if node.parameters:
        known["Parameters"] = f"{count_text(node.parameters)}, {bytes_text(node.weight_bytes)}"
    return known


def _unknown(node: NodeFacts) -> str:
    """Why multiply-accumulates of a node are not known."""
    if (node.domain, node.op) in MACS:
        return "a shape is missing"
    if not node.domain and node.op in _CONTROL_FLOW:
        return "they depend on how its subgraphs run"
    return f"how {operator(node.domain, node.op)} computes is not known"


def _attributes(node: NodeFacts) -> Markup:
    if not node.attributes:
        return join()
    return join(_heading("Attributes"), facts(dict(node.attributes)))


def _decision(index: Index, layer: LayerFacts) -> Markup:
    known: dict[str, object] = {
        "Layer": layer.layer,
        "Pruned": "yes" if layer.prunable else f"no: {layer.reason}",
        "Stored as": layer.op,
    }
    if layer.op_reason and layer.op_reason != layer.reason:
        known["Because"] = layer.op_reason
    if layer.simd_group:
        known["SIMD group"] = f"{layer.simd_group} weights"
    if layer.fused:
        known["Fused"] = listed(layer.fused)
    return join(_heading(what_optimize_does(index.found.model).capitalize()), facts(known))


def _sparsity(layer: LayerSparsity | None) -> Markup:
    if layer is None:
        return join()
    known: Mapping[str, object] = {
        "Density": f"{percent(layer.density)} of {count_text(layer.weights)} weights",
        **{f"Zero, {name}": percent(share) for name, share in layer.zeros.items()},
        **({} if layer.stored is None else {"Groups stored": percent(layer.stored)}),
        "Stored": f"{bytes_text(layer.stored_bytes)}, {layer.bits} bits a weight",
    }
    return join(_heading("Sparsity"), facts(known))


def _latency(index: Index, node: NodeFacts) -> Markup:
    time = index.latency.get(node.name)
    if time is None:
        return join()
    known: dict[str, object] = {}
    if time.into:
        known["Time"] = join("part of ", show(index.link(time.into)))
    elif not time.ran_as:
        known["Time"] = "folded away before the run"
    else:
        known["Time"] = f"{ms(time.ms)} ms ({percent(time.share)})"
        known["Ran as"] = time.ran_as
    return join(_heading("Measured"), facts(known))


def _groups(index: Index, node: NodeFacts) -> Markup:
    numbers = index.groups_of.get(node.name, ())
    shown = (_copy(f"group {number}") for number in numbers[:_GROUPS])
    rest = [index.groups[number].name for number in numbers[_GROUPS:]]
    named = element("p", {"class": "name"}, f"and {len(rest)} more groups: {', '.join(rest)}")
    return join(*shown, named if rest else "")


def _group(index: Index, group: GroupFacts) -> Markup:
    known: dict[str, object] = {
        "Name": group.name,
        "Channels": f"{group.channels}, {count_text(group.parameters)} parameters",
        "Prunable": f"no: {group.frozen}" if group.frozen else "yes",
    }
    if group.mixed_by:
        known["Mixed by"] = listed(group.mixed_by)
    members = (
        element(
            "li",
            {"class": "name"},
            show(index.link(member.node, member.tensor)),
            f" axis {member.axis} ({member.role}"
            + (f", {member.positions} positions each)" if member.positions != 1 else ")"),
        )
        for member in group.members
    )
    through = element(
        "details",
        None,
        element("summary", None, f"{len(group.nodes)} nodes"),
        element(
            "ul",
            None,
            *(element("li", {"class": "name"}, show(index.link(n))) for n in group.nodes),
        ),
    )
    return join(_heading("Coupling group"), facts(known), element("ul", None, *members), through)
