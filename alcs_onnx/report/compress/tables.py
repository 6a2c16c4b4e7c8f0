"""Tables of compared structures, with the columns of ADMM-NN-S tables 7 to 12."""

from __future__ import annotations

from alcs_onnx.pipeline.compress.result import CompressionResult, StructureResult
from alcs_onnx.report.console import out, say
from alcs_onnx.report.layout import bytes_text, describe_machine, ms, new_table, percent
from alcs_onnx.storage import FLOAT_BITS


def print_compression(result: CompressionResult, *, details: bool = False) -> None:
    """Accuracy, rates and storage of each structure; its speed and PPR where measured.

    With `details`, also the layers of each structure and the rates that were tried.
    """
    _print_storage(result)
    if any(row.speedup is not None for row in result.rows):
        _print_speed(result)
    if details:
        for row in result.rows:
            _print_layers(row)
            if row.history:
                _print_history(row)
    least = result.least_accuracy
    wanted = "" if least is None else f", at least {_percent(least)} % wanted"
    say(
        f"accuracy: {result.measure}{wanted}",
        "weight store: weights alone | relative, absolute: weights with such indices | "
        "compress rate: dense / relative | PPR: prune rate / speed-up",
    )
    if result.machine is not None:
        say(describe_machine(result.machine))
    for verdict in result.verdicts:
        say(verdict, style="bold")


def _digits(value: float) -> str:
    """Three digits, of whatever the value is rounded to."""
    decimals = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{decimals}f}"


def _count(weights: int) -> str:
    for unit, size in (("M", 1e6), ("K", 1e3)):
        if weights >= size:
            return f"{_digits(weights / size)}{unit}"
    return str(weights)


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.2f}"


def _rate(value: float | None) -> str:
    return "-" if value is None else f"{_digits(value)}x"


def _ratio(value: float | None) -> str:
    return "-" if value is None else _digits(value)


def _widths(widths: tuple[int, ...]) -> str:
    """`5`, or `4-7` where layers differ."""
    return "-" if not widths else "-".join(str(w) for w in sorted({widths[0], widths[-1]}))


def _print_storage(result: CompressionResult) -> None:
    table = new_table(
        f"Structures of {result.model} on {result.data}",
        *("structure", "kind", ">accuracy %", ">prune rate", ">weights", "quant", ">bits"),
        *(">weight store", ">index bits", ">relative", ">absolute", ">compress rate"),
        optional=("kind", "index bits", "absolute", "weight store", "quant", "weights", "bits"),
    )
    for row in result.rows[:1]:
        dense = bytes_text(row.dense_weights * FLOAT_BITS / 8)
        table.add_row(
            *("dense", "", _percent(result.baseline_accuracy), _rate(1.0)),
            *(_count(row.dense_weights), "-", str(FLOAT_BITS)),
            *(dense, "-", dense, dense, _rate(1.0)),
        )
    for row in result.rows:
        table.add_row(
            *(row.structure, row.kind, _percent(row.accuracy), _rate(row.prune_rate)),
            *(_count(row.kept_weights), row.quantization, str(row.bits)),
            *(bytes_text(row.weight_bytes), _widths(row.index_bits)),
            *(bytes_text(row.relative_bytes), bytes_text(row.absolute_bytes)),
            _rate(row.compress_rate),
        )
    out.print(table)


def _print_speed(result: CompressionResult) -> None:
    table = new_table(
        "Latency: the whole model, and the pruned layers alone",
        *("structure", ">dense ms", ">ms", ">prune rate", ">speed-up", ">PPR"),
        *(">layers' prune rate", ">layers' speed-up", ">layers' PPR"),
        optional=("layers' PPR", "layers' prune rate", "PPR"),
    )
    for row in result.rows:
        table.add_row(
            *(row.structure, ms(row.dense_ms), ms(row.latency_ms)),
            *(_rate(row.prune_rate), _rate(row.speedup), _ratio(row.ppr)),
            *(_rate(row.pruned_rate), _rate(row.pruned_speedup), _ratio(row.pruned_ppr)),
        )
    out.print(table)


def _print_layers(row: StructureResult) -> None:
    columns = (">kept", ">of", ">bits", ">index bits", ">stored", ">dense ms", ">sparse ms")
    refitted = any(layer.error is not None for layer in row.layers)
    table = new_table(
        f"Layers, {row.structure}",
        *("layer", *columns, *((">error kept", ">refitted") if refitted else ())),
        optional=("index bits", "bits", "of", "error kept"),
    )
    for layer in row.layers:
        table.add_row(
            *(layer.layer, str(layer.kept_weights), str(layer.dense_weights), str(layer.bits)),
            "-" if layer.index_bits is None else str(layer.index_bits),
            *(bytes_text(layer.stored_bytes), ms(layer.dense_ms), ms(layer.sparse_ms)),
            *((percent(layer.kept_error), percent(layer.error)) if refitted else ()),
        )
    out.print(table)


def _print_history(row: StructureResult) -> None:
    table = new_table(f"Rates tried, {row.structure}", ">rate", ">accuracy %", "")
    for tried in row.history:
        verdict = "kept" if tried.accepted else "too far"
        table.add_row(_rate(tried.rate), _percent(tried.accuracy), verdict)
    out.print(table)
