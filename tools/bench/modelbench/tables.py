"""The results as terminal tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from modelbench.layers import CONV_CLASSES, OTHER_CLASSES, ClassTime
from modelbench.results import ModelReport, NodeReport, Row

#: Classes in a table with more variants than this get a table per so many.
_COLUMNS = 9


def print_report(out: Console, report: ModelReport, every_node: bool = False) -> None:
    """All tables of one model."""
    out.print(
        f"\n{report.model}: {report.macs / 1e9:.3f} GMAC, multiply-add peak "
        f"{_rates(report.peaks)}, of bytes {_rates(report.byte_peaks)}"
    )
    out.print(times_table(report.rows))
    for failure in report.failures:
        out.print(failure, soft_wrap=True)
    for threads in sorted({node.threads for node in report.nodes}):
        nodes = [node for node in report.nodes if node.threads == threads]
        for first in range(0, len(nodes), _COLUMNS):
            out.print(class_table(nodes[first : first + _COLUMNS], threads))
        if report.depthwise.get(threads):
            out.print(depthwise_table(report.depthwise[threads], threads))
        for node in nodes if every_node else ():
            out.print(node_table(node))


def _rates(peaks: Mapping[int, float]) -> str:
    rates = ", ".join(f"{rate:.1f} with {n} thread(s)" for n, rate in peaks.items() if rate)
    return f"{rates} GMAC/s" if rates else "not measured"


def times_table(rows: Sequence[Row]) -> Table:
    """A row per engine, weights and number of threads."""
    several = any(row.scaling is not None for row in rows)
    integers = any(row.over_int8 is not None for row in rows)
    columns = ["engine", "weights", ">threads", ">MACs", ">median ms", ">P90 ms", ">slow"]
    columns += [">speed-up", *([">over int8"] if integers else []), ">/ ours"]
    columns += [*([">scaling"] if several else []), ">difference"]
    table = _table("Whole model", columns)
    for row in rows:
        cells = [row.engine, row.weights, str(row.threads), f"{row.mac_ratio:.3f}"]
        cells += [_ms(row.timing.median), _ms(row.timing.p90), f"{row.slow:.0%}"]
        cells += [f"{row.speedup:.2f}x"]
        cells += [_number(row.over_int8, ".2f", "x")] if integers else []
        cells += [_number(row.against_ours, ".2f", "x")]
        cells += [_number(row.scaling, ".2f", "x")] if several else []
        table.add_row(*cells, _number(row.difference, ".0e"))
    return table


def class_table(nodes: Sequence[NodeReport], threads: int) -> Table:
    """A row per class of layers; per variant, milliseconds and the share of the peak."""
    title = f"Time by class (ms, share of the peak of floats or of bytes), {threads} thread(s)"
    heads = [f">{_variant(node)}" for node in nodes]
    table = _table(title, ["class", ">layers", *heads])
    for kind in (*CONV_CLASSES, *OTHER_CLASSES):
        found = [_of_kind(node, kind) for node in nodes]
        count = max((item.nodes for item in found if item), default=0)
        if count:
            table.add_row(kind, str(count), *(_class_cell(item) for item in found))
    table.add_section()
    totals = (f"{_ms(sum(item.ms for item in node.classes))}     " for node in nodes)
    table.add_row("sum", "", *totals)
    table.add_row("run without profiler", "", *(f"{_ms(node.wall_ms)}     " for node in nodes))
    return table


def node_table(node: NodeReport) -> Table:
    """A row per node of one variant."""
    table = _table(
        f"Nodes of {_variant(node)}, {node.threads} thread(s)",
        ["node", "class", "operator", ">MMAC", ">us", ">peak"],
    )
    for row in node.layers:
        macs = f"{row.macs / 1e6:.2f}" if row.macs else ""
        share = _number(row.share, ".0%")
        table.add_row(row.name, row.kind, row.op_type, macs, f"{row.ms * 1e3:.1f}", share)
    return table


def depthwise_table(pairs: Sequence[dict[str, object]], threads: int) -> Table:
    """A row per depthwise layer, and their sum."""
    table = _table(
        f"Depthwise layers, {threads} thread(s)",
        ["layer", "shape", ">ONNX Runtime us", ">ours us", ">ours / ONNX Runtime"],
    )
    dense = sum(_float(pair["dense_ms"]) for pair in pairs)
    ours = sum(_float(pair["ours_ms"]) for pair in pairs)
    for pair in pairs:
        table.add_row(str(pair["layer"]), str(pair["shape"]), *_depthwise_cells(pair))
    table.add_section()
    sums = {"dense_ms": dense, "ours_ms": ours, "ratio": ours / dense if dense else None}
    table.add_row("sum", "", *_depthwise_cells(sums))
    return table


def _depthwise_cells(pair: Mapping[str, object]) -> list[str]:
    times = [f"{_float(pair[key]) * 1e3:.1f}" for key in ("dense_ms", "ours_ms")]
    ratio = pair["ratio"]
    return [*times, "" if ratio is None else f"{_float(ratio):.2f}"]


def _float(value: object) -> float:
    assert isinstance(value, float)
    return value


def _variant(node: NodeReport) -> str:
    return f"{node.engine} {node.weights}"


def _of_kind(node: NodeReport, kind: str) -> ClassTime | None:
    return next((item for item in node.classes if item.kind == kind), None)


def _class_cell(item: ClassTime | None) -> str:
    if item is None:
        return ""
    share = "    " if item.share is None else f"{item.share:4.0%}"
    return f"{_ms(item.ms)} {share}"


def _table(title: str, columns: Sequence[str]) -> Table:
    """A plain table; columns whose name begins with `>` are right-aligned."""
    table = Table(
        title=title, box=box.SIMPLE, title_justify="left", pad_edge=False, min_width=len(title)
    )
    for column in columns:
        right = column.startswith(">")
        table.add_column(
            column.removeprefix(">"), justify="right" if right else "left", overflow="fold"
        )
    return table


def _ms(value: float) -> str:
    return f"{value:.3f}" if value < 10 else f"{value:.2f}"


def _number(value: float | None, form: str, unit: str = "") -> str:
    return "" if value is None else f"{value:{form}}{unit}"
