"""Terminal tables of a model that was rewritten."""

from __future__ import annotations

from alcs_onnx.pipeline.compile import CompileResult
from alcs_onnx.pipeline.compile.result import MeasuredPrecision
from alcs_onnx.report.console import out, say
from alcs_onnx.report.layers import print_check, print_layers
from alcs_onnx.report.layout import describe_machine, ms, new_table, percent


def print_compile(result: CompileResult, *, top: int = 20) -> None:
    """The layers of a rewritten model, of many the `top` heaviest, and its numeric check."""
    print_layers(result.layers, timed=False, top=top)
    print_check(result.check, result.checked_against)
    say(f"kept multiply-accumulates: {percent(result.mac_ratio)}")
    if result.unchanged:
        say(result.unchanged)
    if result.precision is not None:
        _print_precision(result.precision)
    say(f"wrote {result.output}")
    say(result.verdict, style="bold red" if result.exit_status else "bold")


def _print_precision(found: MeasuredPrecision) -> None:
    """The written file beside the one that was given and others, and a warning if it is slower."""
    table = new_table("Measured side by side", "file", ">int8 nodes", ">median ms", ">speed-up", "")
    first = found.files[0].timing.median
    for file in found.files:
        median = file.timing.median
        cells = [str(file.int8_nodes), ms(median), f"{first / median:.2f}x"]
        table.add_row(file.what, *cells, "written" if file is found.result else "")
    out.print(table)
    say(describe_machine(found.machine))
    if found.reasons:
        say(f"in float32: {found.reasons}")
    if found.share > 1 and found.result.int8_nodes:
        say(
            f"SLOWER than the file that was given, by {100 * (found.share - 1):.0f} %: "
            "--precision auto makes int8 only what is quicker so",
            style="bold red",
        )
