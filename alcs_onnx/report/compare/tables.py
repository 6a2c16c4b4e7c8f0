"""Terminal tables of two models that were compared."""

from __future__ import annotations

from math import isfinite

from alcs_onnx.differences import Difference
from alcs_onnx.pipeline.compare.result import (
    Agreement,
    ModelComparison,
    TensorComparison,
)
from alcs_onnx.report.console import out, say
from alcs_onnx.report.layout import describe_machine, new_table, shape_text

_COLUMNS = (">relative", ">largest", ">mean", ">cosine", ">SNR dB", "where")
#: What narrow terminals do without.
_OPTIONAL = ("mean", "cosine", "where", "shape", "largest")


def print_model_comparison(result: ModelComparison, *, details: bool = False) -> None:
    """Agreement, differences of outputs, and the tensor from which the models part.

    With `details` a row for each tensor that both compute.
    """
    say(
        f"a: {result.model_a}",
        f"b: {result.model_b}",
        f"{result.samples} {result.data}, a is the reference",
    )
    if result.agreement is not None:
        _print_agreement(result.agreement, result.samples)
    table = new_table(
        "Differences of the outputs", "output", "shape", *_COLUMNS, "", optional=_OPTIONAL
    )
    for row in result.outputs:
        name = row.output_a if row.output_a == row.output_b else f"{row.output_a} | {row.output_b}"
        table.add_row(
            name,
            shape_text(row.shape),
            *_cells(row.difference),
            "same" if row.within else "DIFFERS",
        )
    out.print(table)
    if details and result.tensors:
        _print_tensors(result)
    _print_verdict(result)
    for note in result.notes:
        say(f"note: {note}")
    say(describe_machine(result.machine))


def _print_agreement(found: Agreement, samples: int) -> None:
    if found.accuracy_a is None or found.accuracy_b is None:
        say(f"top-1 classes agree on {found.agreement:.2f} % of {samples} samples")
        return
    counts = (">both right", ">only a", ">only b", ">neither")
    table = new_table(
        f"Top-1 classes of {samples} samples",
        *(">accuracy a %", ">accuracy b %", ">agreement %", *counts),
    )
    table.add_row(
        *(f"{p:.2f}" for p in (found.accuracy_a, found.accuracy_b, found.agreement)),
        *(str(n) for n in (found.both_right, found.only_a, found.only_b, found.neither)),
    )
    out.print(table)
    if found.chance is not None:
        say(
            "a split so uneven between models of equal accuracy has a probability of "
            f"{found.chance:.2g} (McNemar's exact test)"
        )


def _print_tensors(result: ModelComparison) -> None:
    table = new_table(
        f"Tensors of both graphs, matched by {result.matched_by}, "
        f"on {result.tensor_samples} sample(s)",
        *("tensor", "node of a", "node of b", "shape", *_COLUMNS, ""),
        optional=(*_OPTIONAL, "node of b", "node of a"),
    )
    for row in result.tensors:
        table.add_row(
            _tensor(row),
            f"{row.node_a} ({row.op_a})",
            f"{row.node_b} ({row.op_b})",
            shape_text(row.shape_a) if row.difference else _shapes(row),
            *(_cells(row.difference) if row.difference else [""] * len(_COLUMNS)),
            {True: "same", False: "DIFFERS", None: "other shape"}[row.within],
        )
    out.print(table)


def _print_verdict(result: ModelComparison) -> None:
    verdict = "the same" if result.same else "NOT the same"
    lines = [f"outputs: {verdict} within {result.tolerance:g} of the largest value"]
    row = result.parted
    if row is not None and row.difference is not None:
        lines.append(
            f"the models part at tensor '{_tensor(row)}' (a: {row.node_a} ({row.op_a}), "
            f"b: {row.node_b} ({row.op_b})): relative difference "
            f"{row.difference.relative:.2g} at {_where(row.difference)}"
        )
    elif result.tensors:
        compared = sum(row.difference is not None for row in result.tensors)
        lines.append(f"{compared} tensors that both compute are the same within the tolerance")
    other = [row for row in result.tensors if row.difference is None]
    if other:
        lines.append(
            f"{len(other)} tensors have other shapes, the first of them "
            f"'{_tensor(other[0])}': {_shapes(other[0])}"
        )
    say(*lines, style="bold")


def _tensor(row: TensorComparison) -> str:
    return row.tensor_a if row.tensor_a == row.tensor_b else f"{row.tensor_a} | {row.tensor_b}"


def _shapes(row: TensorComparison) -> str:
    return f"{shape_text(row.shape_a)} in a, {shape_text(row.shape_b)} in b"


def _where(difference: Difference) -> str:
    return f"sample {difference.sample}, {list(difference.index)}"


def _cells(difference: Difference) -> list[str]:
    """What `_COLUMNS` names."""
    where = "" if difference.largest == 0 else _where(difference)
    if any(difference.not_finite):
        where += f" (not finite: {difference.not_finite[0]} in a, {difference.not_finite[1]} in b)"
    return [
        *(_number(x) for x in (difference.relative, difference.largest, difference.mean)),
        "-" if difference.cosine is None else f"{difference.cosine:.6f}",
        "-" if difference.snr_db is None else f"{difference.snr_db:.1f}",
        where.strip(),
    ]


def _number(value: float) -> str:
    return f"{value:.2e}" if value and isfinite(value) else f"{value:g}"
