"""Terminal tables of a model that was rewritten."""

from __future__ import annotations

from alcs_onnx.pipeline.compile import CompileResult
from alcs_onnx.report.console import say
from alcs_onnx.report.layers import print_check, print_layers
from alcs_onnx.report.layout import percent


def print_compile(result: CompileResult, *, top: int = 20) -> None:
    """The layers of a rewritten model, of many the `top` heaviest, and its numeric check."""
    print_layers(result.layers, timed=False, top=top)
    print_check(result.check, "the original")
    say(f"kept multiply-accumulates: {percent(result.mac_ratio)}")
    if result.unchanged:
        say(result.unchanged)
    say(f"wrote {result.output}")
    say(result.verdict, style="bold red" if result.exit_status else "bold")
