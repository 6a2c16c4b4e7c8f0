"""Tables of layers, and the numeric check of a written file."""

from __future__ import annotations

from collections.abc import Sequence

from alcs_onnx.pipeline.common.layers import LayerReport
from alcs_onnx.pipeline.common.verification import NumericCheck
from alcs_onnx.report.console import out, say
from alcs_onnx.report.layout import ms, new_table, percent, shape_text
from alcs_onnx.report.long_tables import foremost, say_rest


def print_layers(layers: Sequence[LayerReport], *, timed: bool, top: int) -> None:
    """A row for each layer, with its times where they are known; of many the `top` slowest."""
    shown = foremost(layers, top, lambda row: (row.dense_ms or 0.0) if timed else row.macs)
    most = "slowest" if timed else "heaviest"
    title = f"Layers: the {len(shown)} {most} of {len(layers)}"
    columns = ["layer", "weights", "output", "kernel", ">g", ">density"]
    columns += [">dense ms", ">predicted ms", ">measured ms"] if timed else []
    refitted = any(row.error is not None for row in layers)
    columns += [">error kept", ">refitted"] if refitted else []
    table = new_table(
        "Layers" if len(shown) == len(layers) else title,
        *(*columns, "fused", "why"),
        optional=("output", "predicted ms", "weights", "g", "fused", "dense ms", "error kept"),
    )
    for row in shown:
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
        if refitted:
            cells += [percent(row.kept_error), percent(row.error)]
        table.add_row(*cells, row.fused, row.reason or "")
    out.print(table)
    say_rest(len(layers), top, "layer")


def print_check(check: NumericCheck, against: str) -> None:
    """Whether the written file gives the outputs of what is named `against`, and on what."""
    verdict = "equal" if check.passed else "NOT EQUAL"
    say(
        f"outputs against {against}: {verdict} within {check.tolerance:g} "
        f"(with the library {check.with_library:.1e}, without it {check.without_library:.1e})"
    )
    if check.samples:
        say(f"compared at: {'; '.join(check.samples)}")
