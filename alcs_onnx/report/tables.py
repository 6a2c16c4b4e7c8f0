"""Terminal tables of what was measured and decided."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from alcs_onnx.pipeline.results import (
    ChannelReport,
    CompileResult,
    LayerReport,
    NumericCheck,
    OptimizeResult,
)
from alcs_onnx.report.console import out
from alcs_onnx.report.layout import describe_machine, ms, new_table, shape
from alcs_onnx.types import ChannelTable, LatencyTable, Timing


def _print_layers(layers: Sequence[LayerReport], timed: bool) -> None:
    columns = ["layer", "weights", "output", "kernel", ">g", ">density"]
    columns += [">dense ms", ">predicted ms", ">measured ms"] if timed else []
    table = new_table("Layers", *columns, "fused", "why")
    for row in layers:
        cells = [
            row.layer,
            shape(row.weight_shape),
            shape(row.output_shape),
            row.op,
            str(row.simd_group),
            f"{row.density:.3f}",
        ]
        if timed:
            cells += [ms(row.dense_ms), ms(row.predicted_ms), ms(row.measured_ms)]
        table.add_row(*cells, row.fused, row.reason or "")
    out.print(table)


def _print_check(check: NumericCheck) -> None:
    verdict = "equal" if check.passed else "NOT EQUAL"
    out.print(
        f"outputs against the masked dense model: {verdict} within {check.tolerance:g} "
        f"(with the library {check.with_library:.1e}, without it {check.without_library:.1e})",
        markup=False,
    )


def _timing_cells(timing: Timing, reference: Timing) -> list[str]:
    return [
        ms(timing.median),
        ms(timing.p90),
        ms(timing.p99),
        f"{reference.median / timing.median:.2f}x",
    ]


def print_compile(result: CompileResult) -> None:
    """The layers of a rewritten model and its numeric check."""
    _print_layers(result.layers, timed=False)
    _print_check(result.check)
    out.print(
        f"kept multiply-accumulates: {100 * result.mac_ratio:.1f} %\nwrote {result.output}",
        markup=False,
    )


def print_table(table: LatencyTable) -> None:
    """The measured curves: ms at each density, and the dense time of the runtime's own Conv."""
    densities = [f">{i / 10:g}" for i in range(11)]
    view = new_table("Time in ms at each density", "layer", *densities, ">runtime's Conv")
    for curve in table.curves:
        last = curve.groups[-1]
        at = np.interp(np.linspace(0, last, 11), curve.groups, curve.times)
        view.add_row(curve.layer, *(ms(float(t)) for t in at), ms(curve.dense_time))
    out.print(view)
    out.print(
        f"rest of the run (tau): {ms(table.tau)} ms | dense model: {ms(table.dense.median)} ms\n"
        f"{describe_machine(table.machine)}",
        markup=False,
    )


def print_channel_table(table: ChannelTable) -> None:
    """Latency of the model (ms) against the channels that each group keeps, alone."""
    view = new_table(
        "Time of the model in ms by the channels that one group keeps", "group", "curve"
    )
    for curve in table.curves:
        pairs = zip(curve.kept, curve.times_ms, strict=True)
        view.add_row(curve.group, "  ".join(f"{kept}: {ms(time)}" for kept, time in pairs))
    out.print(view)
    out.print(
        f"dense model: {ms(table.dense.median)} ms\n{describe_machine(table.machine)}",
        markup=False,
    )


def _print_channels(groups: Sequence[ChannelReport]) -> None:
    table = new_table(
        "Channel groups", "group", ">channels", ">kept", ">alone saves ms", "why", "layers"
    )
    for row in groups:
        saved = "-" if row.saved_ms is None else f"{row.saved_ms:.3f}"
        table.add_row(
            row.group,
            str(row.channels),
            str(row.kept),
            saved,
            row.reason or "",
            ", ".join(row.layers),
        )
    out.print(table)


def print_optimize(result: OptimizeResult) -> None:
    """Channels, layers, latency, accuracy, the numeric check, and whether the budget was met."""
    if result.channels:
        _print_channels(result.channels)
    _print_layers(result.layers, timed=True)
    latency = new_table("Latency", "model", ">median ms", ">P90 ms", ">P99 ms", ">speed-up")
    latency.add_row("dense", *_timing_cells(result.dense, result.dense))
    if result.sparse is not None:
        latency.add_row("sparse", *_timing_cells(result.sparse, result.dense))
    out.print(latency)
    out.print(describe_machine(result.machine), markup=False)
    if result.accuracy is not None:
        accuracy = new_table(
            f"Accuracy ({result.accuracy.measure}, {result.accuracy.samples} samples)",
            "stage",
            ">%",
        )
        for stage, value in result.accuracy.stages.items():
            accuracy.add_row(stage, f"{value:.2f}")
        out.print(accuracy)
    if result.check is not None:
        _print_check(result.check)
    low, high = result.reachable_ms
    out.print(
        f"reachable: {ms(low)} to {ms(high)} ms | kept multiply-accumulates: "
        f"{100 * result.mac_ratio:.1f} % | predicted {ms(result.predicted_ms)} ms",
        markup=False,
    )
    out.print(result.message, markup=False, style="bold", soft_wrap=True)
    if result.output is not None:
        out.print(f"wrote {result.output}", markup=False, soft_wrap=True)
