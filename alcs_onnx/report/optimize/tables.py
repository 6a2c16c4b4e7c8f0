"""Terminal tables of what was decided and measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from alcs_onnx.pipeline.optimize.result import ChannelReport, OptimizeResult, TriedMethod
from alcs_onnx.report.console import out, say
from alcs_onnx.report.layers import print_check, print_layers
from alcs_onnx.report.layout import bytes_text, describe_machine, ms, new_table, percent
from alcs_onnx.report.long_tables import foremost, say_rest
from alcs_onnx.types import Timing


def print_optimize(result: OptimizeResult, *, top: int = 20, wrote: Path | None = None) -> None:
    """Channels, layers, latency, accuracy, the numeric check; last the budget and what was lost.

    Of many layers and groups `top` rows, 0 for all. `wrote` is a file that was written besides.
    """
    if result.channels:
        _print_channels(result.channels, top)
    if result.layers:
        print_layers(result.layers, timed=True, top=top)
    if result.tried:
        _print_tried(result.tried)
    latency = new_table("Latency", "model", ">median ms", ">P90 ms", ">P99 ms", ">speed-up")
    if result.repaired is not None:
        latency.add_row("as given", *_timing_cells(result.repaired.given, result.dense))
    latency.add_row("dense", *_timing_cells(result.dense, result.dense))
    if result.sparse is not None:
        latency.add_row("optimized", *_timing_cells(result.sparse, result.dense))
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
        print_check(result.check, result.checked_against)
    low, high = result.reachable_ms
    say(
        f"reachable: {ms(low)} to {ms(high)} ms | kept multiply-accumulates: "
        f"{percent(result.mac_ratio)} | predicted {ms(result.predicted_ms)} ms"
    )
    if result.repaired is not None:
        say(result.repaired.message)
    if result.behaviour is not None:
        say(result.behaviour.message)
    if result.output is not None:
        say(f"wrote {result.output}")
    if wrote is not None:
        say(f"wrote {wrote}")
    say(result.message, style="bold")
    if result.verdict:
        bad = result.status == "lost" or (result.fidelity is not None and result.fidelity.ruined)
        say(result.verdict, style="bold red" if bad else "bold")


def _print_channels(groups: Sequence[ChannelReport], top: int) -> None:
    shown = foremost(groups, top, lambda row: row.saved_ms or 0.0)
    mixed = any(row.mixed_by for row in groups)
    title = f"Channel groups: the {len(shown)} of {len(groups)} that save most"
    table = new_table(
        "Channel groups" if len(shown) == len(groups) else title,
        "group",
        ">channels",
        ">kept",
        ">alone saves ms",
        *(["mixed by"] if mixed else []),
        "why",
        "layers",
    )
    for row in shown:
        saved = "-" if row.saved_ms is None else f"{row.saved_ms:.3f}"
        table.add_row(
            row.group,
            str(row.channels),
            str(row.kept),
            saved,
            *([", ".join(row.mixed_by)] if mixed else []),
            row.reason or "",
            ", ".join(row.layers),
        )
    out.print(table)
    say_rest(len(groups), top, "group")


def _print_tried(tried: Sequence[TriedMethod]) -> None:
    table = new_table(
        "Methods",
        *("method", "", ">ms", ">of budget", ">loss %", "what is left", ">size", "why"),
    )
    for row in tried:
        table.add_row(
            row.method,
            row.outcome,
            ms(row.latency_ms),
            "-" if row.share is None else percent(row.share),
            "-" if row.fidelity is None else f"{row.fidelity.loss:.2f}",
            "-" if row.fidelity is None else row.fidelity.brief,
            "-" if row.bytes is None else bytes_text(row.bytes),
            row.why,
        )
    out.print(table)


def _timing_cells(timing: Timing, reference: Timing) -> list[str]:
    return [
        ms(timing.median),
        ms(timing.p90),
        ms(timing.p99),
        f"{reference.median / timing.median:.2f}x",
    ]
