"""The tables of an inspection's page, a row for each node, layer or group."""

from __future__ import annotations

from collections.abc import Sequence

from alcs_onnx.pipeline.inspect.result import CouplingFacts, LatencyFacts, SparsityFacts
from alcs_onnx.report.html.markup import Markup
from alcs_onnx.report.html.tables import Column, table
from alcs_onnx.report.inspect.page.index import Index
from alcs_onnx.report.inspect.page.texts import listed, operator
from alcs_onnx.report.layout import bytes_text, count_text, ms, percent, shape_text


def node_table(index: Index) -> Markup:
    """Every node of the file."""
    columns = (
        Column("node"),
        Column("operator"),
        Column("output"),
        Column("weight"),
        Column("MACs", count_text),
        Column("of all", percent, "share of the model's MACs"),
        Column("MACs kept", count_text, "MACs of weights that are not zero"),
        Column("parameters", count_text),
        Column("bytes", bytes_text),
    )
    model = index.found.model
    rows = [
        (
            index.link(node.name),
            operator(node.domain, node.op),
            listed(map(shape_text, node.output_shapes)),
            None if node.weight_shape is None else shape_text(node.weight_shape),
            node.macs,
            None if node.macs is None else node.macs / (model.macs or 1),
            node.kept_macs,
            node.parameters,
            node.weight_bytes,
        )
        for node in index.nodes
    ]
    total = (
        *("all nodes", "", "", "", model.macs, 1.0, model.kept_macs),
        *(model.parameters, model.weight_bytes),
    )
    return table(columns, rows, footer=total)


def layer_table(index: Index) -> Markup:
    """What optimize does, or would do, with each layer."""
    columns = (
        Column("layer"),
        Column("pruned", help="whether its weights compete for the budget"),
        Column("why not"),
        Column("stored as", help="the operator in an optimized file"),
        Column("reason"),
        Column("SIMD group", help="adjacent output channels that are kept or pruned together"),
        Column("fused", help="what the node does besides convolving"),
    )
    rows = [
        (
            index.link(layer.node, layer.layer),
            "yes" if layer.prunable else "no",
            layer.reason or None,
            layer.op,
            None if layer.op_reason in ("", layer.reason) else layer.op_reason,
            layer.simd_group or None,
            listed(layer.fused),
        )
        for layer in index.found.model.layers
    ]
    return table(columns, rows)


def group_table(index: Index, coupling: CouplingFacts) -> Markup:
    """All coupling groups."""
    columns = (
        Column("group", help="named after the node that first produces its channels"),
        Column("channels"),
        Column("prunable"),
        Column("why not"),
        Column("mixed by", help="take one value of several of the channels: of those that stay"),
        Column("weights", help="axes of weights that count the group's channels"),
        Column("nodes", help="nodes that the channels run through"),
        Column("parameters", count_text, "values that go with all of the channels"),
    )
    rows = [
        (
            index.link(group.nodes[0] if group.nodes else "", group.name),
            group.channels,
            "no" if group.frozen else "yes",
            group.frozen or None,
            ", ".join(group.mixed_by) or None,
            len(group.members),
            len(group.nodes),
            group.parameters,
        )
        for group in coupling.groups
    ]
    return table(columns, rows)


def sparsity_table(index: Index, sparsity: SparsityFacts) -> Markup:
    """How the zeros of each layer lie."""
    structures = list(sparsity.zeros)
    columns = (
        Column("layer"),
        Column("weight"),
        Column("weights", count_text),
        Column("density", percent, "weights that are not zero"),
        *(
            Column(name, percent, "groups of this structure that are zero throughout")
            for name in structures
        ),
        Column("stored", percent, "groups that the optimized file stores"),
        Column("bits"),
        Column("bytes", bytes_text),
    )
    rows = [
        (
            index.link(layer.node, layer.layer),
            shape_text(layer.weight_shape),
            layer.weights,
            layer.density,
            *(layer.zeros.get(name) for name in structures),
            layer.stored,
            layer.bits,
            layer.stored_bytes,
        )
        for layer in sparsity.layers
    ]
    density = sparsity.nonzero / sparsity.weights if sparsity.weights else None
    total = (
        *("all layers", "", sparsity.weights, density),
        *(sparsity.zeros[name] for name in structures),
        *(None, None, sum(layer.stored_bytes for layer in sparsity.layers)),
    )
    return table(columns, rows, footer=total)


def latency_table(index: Index, latency: LatencyFacts) -> Markup:
    """The time of each node, and of what is none."""
    columns = (
        Column("node"),
        Column("operator"),
        Column("time (ms)", ms),
        Column("share", percent),
        Column("ran as", help="the operator that the runtime made of it"),
        Column("fused into"),
    )
    operators = {node.name: node.op for node in index.nodes}
    rows: list[Sequence[object]] = [
        (
            index.link(node.node) or "(added by the runtime)",
            operators.get(node.node),
            node.ms if node.ran_as else None,
            node.share if node.ran_as else None,
            node.ran_as or None,
            index.link(node.into) if node.into or node.ran_as else "(folded away)",
        )
        for node in latency.nodes
    ]
    median = latency.timing.median
    if not latency.overhead_ms:
        rest = latency.rest_ms / median if median else None
        rows.append(("(beyond the nodes)", None, latency.rest_ms, rest, None, None))
    return table(columns, rows, footer=("whole model, median", "", median, 1.0, "", ""))


def curve_table(index: Index, latency: LatencyFacts) -> Markup:
    """Times at each density; those of layers measured at other densities are only in charts."""
    densities = latency.curves[0].densities
    columns = (
        Column("layer"),
        *(Column(f"{100 * density:.0f} %", ms) for density in densities),
        Column("Conv", ms, "the runtime's own Conv on the dense layer"),
        Column("left alone", help="why the layer stays the runtime's own Conv"),
    )
    rows = [
        (
            index.link(index.node_of_layer.get(curve.layer, curve.layer), curve.layer),
            *(curve.times_ms if curve.densities == densities else [None] * len(densities)),
            curve.conv_ms,
            curve.left_alone or None,
        )
        for curve in latency.curves
    ]
    return table(columns, rows, caption="Time (ms) at each density")
