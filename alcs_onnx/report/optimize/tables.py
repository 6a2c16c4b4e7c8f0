"""Terminal tables of what was decided and measured."""

from __future__ import annotations

from collections.abc import Sequence

from alcs_onnx.pipeline.optimize.result import ChannelReport, OptimizeResult
from alcs_onnx.report.console import out, say
from alcs_onnx.report.layers import print_check, print_layers
from alcs_onnx.report.layout import describe_machine, ms, new_table, percent
from alcs_onnx.types import Timing


def print_optimize(result: OptimizeResult) -> None:
    """Channels, layers, latency, accuracy, the numeric check, and whether the budget was met."""
    if result.channels:
        _print_channels(result.channels)
    print_layers(result.layers, timed=True)
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
        print_check(result.check)
    low, high = result.reachable_ms
    say(
        f"reachable: {ms(low)} to {ms(high)} ms | kept multiply-accumulates: "
        f"{percent(result.mac_ratio)} | predicted {ms(result.predicted_ms)} ms"
    )
    say(result.message, style="bold")
    if result.output is not None:
        say(f"wrote {result.output}")


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


def _timing_cells(timing: Timing, reference: Timing) -> list[str]:
    return [
        ms(timing.median),
        ms(timing.p90),
        ms(timing.p99),
        f"{reference.median / timing.median:.2f}x",
    ]
