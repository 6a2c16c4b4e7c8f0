"""All that an inspection found, as one page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath

from alcs_onnx.pipeline.inspect.result import Inspection, LatencyFacts, ModelFacts, TensorFacts
from alcs_onnx.report.html.blocks import facts, text, warning
from alcs_onnx.report.html.document import Section, page
from alcs_onnx.report.html.markup import Markup, element
from alcs_onnx.report.inspect.page.curves import curve_chart
from alcs_onnx.report.inspect.page.drawing import draw
from alcs_onnx.report.inspect.page.index import Index
from alcs_onnx.report.inspect.page.tables import (
    curve_table,
    group_table,
    latency_table,
    layer_table,
    node_table,
    sparsity_table,
)
from alcs_onnx.report.inspect.page.texts import listed, what_optimize_does
from alcs_onnx.report.layout import (
    bytes_text,
    count_text,
    describe_machine,
    ms,
    percent,
    rest_text,
    shape_text,
)

#: How the graph is coloured at first, and the sections that come first, in each view.
_FIRST: dict[str, tuple[str, tuple[str, ...]]] = {
    "model": ("kind", ()),
    "coupling": ("decision", ("coupling",)),
    "sparsity": ("density", ("sparsity",)),
    "latency": ("time", ("latency", "curves")),
}


def inspection_page(inspection: Inspection, view: str = "model") -> str:
    """The file, its graph, and its layers, coupling, sparsity and latency where known, as HTML.

    The colours of the graph and the section after it are those of `view`, one of `inspect`'s.
    The page is one file that needs no other and no network.
    """
    colouring, first = _FIRST[view]
    index = Index(inspection)
    model = inspection.model
    return page(
        PurePath(model.file).name or model.file,
        # Sorting is stable: the graph, what the view is about, and the rest as it comes.
        sorted(_sections(index, colouring), key=lambda x: (x.id != "graph", x.id not in first)),
        summary=[facts(_summary(model)), *_remarks(model)],
    )


def _sections(index: Index, colouring: str) -> Iterator[Section]:
    found = index.found
    hint = (
        "Drag to move, wheel to zoom, arrow keys to go from node to node. Pointing at a node "
        "outlines every node whose channels are coupled with its own."
        if index.groups
        else "Drag to move, wheel to zoom, arrow keys to go from node to node."
    )
    yield Section("Graph", [text(hint), draw(index, colouring)], "graph")
    yield Section("Nodes", [node_table(index)], "nodes")
    if found.model.layers:
        yield Section(f"Layers: {what_optimize_does(found.model)}", [layer_table(index)], "layers")
    if found.coupling is not None:
        coupling = found.coupling
        said = (
            f"{coupling.prunable_groups} of {len(coupling.groups)} groups can lose channels: "
            f"{coupling.prunable_channels:,} of {coupling.channels:,} channels."
        )
        yield Section("Coupling groups", [text(said), group_table(index, coupling)], "coupling")
    if found.sparsity is not None:
        said = (
            "Share of each structure's groups that are zero throughout; SIMD groups have "
            f"{found.sparsity.simd_group} weights."
        )
        yield Section("Sparsity", [text(said), sparsity_table(index, found.sparsity)], "sparsity")
    if found.latency is not None:
        yield Section("Latency", _latency(index, found.latency), "latency")
        if found.latency.curves:
            yield Section("Latency curves", _curves(index, found.latency), "curves")


def _summary(model: ModelFacts) -> dict[str, object]:
    unknown = f", {model.unknown_macs} nodes not known" if model.unknown_macs else ""
    operators = sorted(model.operators.items(), key=lambda item: -item[1])
    return {
        "File": model.file,
        "Size": bytes_text(model.file_bytes),
        "MACs": f"{count_text(model.macs)}{unknown}",
        "MACs kept": f"{count_text(model.kept_macs)}{_share(model.kept_macs, model.macs)}",
        "Parameters": f"{count_text(model.parameters)}, {bytes_text(model.weight_bytes)}",
        "Parameters kept": f"{count_text(model.kept_parameters)}"
        f"{_share(model.kept_parameters, model.parameters)}",
        "Optimized": "yes" if model.optimized else "no",
        "Inputs": listed(map(_tensor, model.inputs)),
        "Outputs": listed(map(_tensor, model.outputs)),
        "Nodes": f"{sum(model.operators.values()):,}",
        "Operators": listed(f"{number} {name}" for name, number in operators),
        "Opsets": listed(f"{domain} {opset}" for domain, opset in model.opsets.items()),
        "IR version": model.ir_version,
        "Producer": model.producer or None,
    }


def _share(part: int, whole: int) -> str:
    return f" ({percent(part / whole)})" if whole else ""


def _tensor(tensor: TensorFacts) -> str:
    return f"{tensor.name} {tensor.dtype} {shape_text(tensor.shape)}"


def _remarks(model: ModelFacts) -> Iterator[Markup]:
    if model.problem:
        yield warning(f"This model cannot be optimized: {model.problem}")
    if model.notes:
        notes = (element("li", {"class": "name"}, note) for note in model.notes)
        yield element(
            "details",
            {"open": len(model.notes) <= 4},
            element("summary", None, f"Notes ({len(model.notes)})"),
            element("ul", None, *notes),
        )


def _latency(index: Index, latency: LatencyFacts) -> list[Markup]:
    timing = latency.timing
    known = {
        "Median": f"{ms(timing.median)} ms",
        "P90": f"{ms(timing.p90)} ms",
        "P99": f"{ms(timing.p99)} ms",
        "Mean": f"{ms(timing.mean)} ± {ms(timing.stddev)} ms",
        "Runs": timing.runs,
    }
    rest, time = rest_text(latency.rest_ms, latency.overhead_ms)
    known[rest.capitalize()] = time
    return [
        *map(warning, latency.warnings),
        facts(known),
        text(describe_machine(latency.machine)),
        latency_table(index, latency),
    ]


def _curves(index: Index, latency: LatencyFacts) -> list[Markup]:
    said = (
        "Run time of each layer against the share of its groups that are kept: structure "
        f"{latency.structure}, SIMD groups of {latency.simd_group} weights."
    )
    charts = element("div", {"class": "charts"}, *map(curve_chart, latency.curves))
    return [text(said), charts, curve_table(index, latency)]
