"""Terminal tables of what was measured and decided."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from alcs_onnx.pipeline.common.layers import LayerReport
from alcs_onnx.pipeline.common.verification import NumericCheck
from alcs_onnx.pipeline.compile import CompileResult
from alcs_onnx.pipeline.optimize.result import ChannelReport, OptimizeResult
from alcs_onnx.report.console import out, say
from alcs_onnx.report.layout import describe_machine, ms, new_table, percent, shape_text
from alcs_onnx.types import ChannelTable, LatencyTable, Timing


def _print_layers(layers: Sequence[LayerReport], timed: bool) -> None:
    columns = ["layer", "weights", "output", "kernel", ">g", ">density"]
    columns += [">dense ms", ">predicted ms", ">measured ms"] if timed else []
    table = new_table(
        "Layers",
        *(*columns, "fused", "why"),
        optional=("output", "predicted ms", "weights", "g", "fused", "dense ms"),
    )
    for row in layers:
        cells = [
            row.layer,
            shape_text(row.weight_shape),
            shape_text(row.output_shape),
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
    say(
        f"outputs against the masked dense model: {verdict} within {check.tolerance:g} "
        f"(with the library {check.with_library:.1e}, without it {check.without_library:.1e})"
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
    say(f"kept multiply-accumulates: {percent(result.mac_ratio)}", f"wrote {result.output}")


def print_table(table: LatencyTable) -> None:
    """The measured curves: ms at each density, and the dense time of the runtime's own Conv."""
    densities = [f">{i / 10:g}" for i in range(11)]
    view = new_table(
        "Time in ms at each density",
        *("layer", *densities, ">runtime's Conv"),
        optional=("0.9", "0.7", "0.3", "0.1", "0.8", "0.6", "0.4", "0.2"),
    )
    for curve in table.curves:
        last = curve.groups[-1]
        at = np.interp(np.linspace(0, last, 11), curve.groups, curve.times)
        view.add_row(curve.layer, *(ms(float(t)) for t in at), ms(curve.dense_time))
    out.print(view)
    say(
        f"rest of the run (tau): {ms(table.tau)} ms | dense model: {ms(table.dense.median)} ms",
        describe_machine(table.machine),
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
    say(f"dense model: {ms(table.dense.median)} ms", describe_machine(table.machine))


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
    say(describe_machine(result.machine))
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
    say(
        f"reachable: {ms(low)} to {ms(high)} ms | kept multiply-accumulates: "
        f"{percent(result.mac_ratio)} | predicted {ms(result.predicted_ms)} ms"
    )
    say(result.message, style="bold")
    if result.output is not None:
        say(f"wrote {result.output}")
