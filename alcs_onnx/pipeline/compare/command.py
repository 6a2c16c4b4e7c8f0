"""`compare`: whether two model files say the same, and where they part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from alcs_onnx import ort
from alcs_onnx.differences import Difference, Differences
from alcs_onnx.errors import AlcsError
from alcs_onnx.graph import computed_tensors, self_contained, with_outputs
from alcs_onnx.pipeline.compare.agreement import TopOne
from alcs_onnx.pipeline.compare.inputs import Inputs, inputs_of
from alcs_onnx.pipeline.compare.matching import Pair, match_tensors
from alcs_onnx.pipeline.compare.pair import ModelPair, is_numeric
from alcs_onnx.pipeline.compare.request import CompareRequest
from alcs_onnx.pipeline.compare.result import (
    Agreement,
    ModelComparison,
    OutputComparison,
    TensorComparison,
)
from alcs_onnx.reporter import SILENT, Reporter
from alcs_onnx.target import get_target
from alcs_onnx.types import Shape

#: Samples on which intermediate tensors are compared.
TENSOR_SAMPLES = 4


def compare(request: CompareRequest, reporter: Reporter = SILENT) -> ModelComparison:
    """Run both models of `request` on the same inputs, and compare.

    Both run in this process with the custom-op library. Raises `ModelError` for a file that is
    missing or does not run, and for inputs or outputs that do not correspond, `DataError` for
    data that does not fit, and `UnsupportedError` for outputs that are no numbers.
    """
    pair = ModelPair(request.a, request.b, request.threads, request.inputs)
    signature = pair.signature(pair.make_feeds(request.seed).feeds)
    inputs = inputs_of(request, pair, signature)
    compared = _run(pair, inputs, reporter)
    outputs = tuple(
        OutputComparison(*names, info.shape, row, row.relative <= request.tolerance)
        for names, info, row in zip(pair.names, signature.outputs, compared.outputs, strict=True)
    )
    notes = [*pair.notes, *inputs.notes, *compared.notes]
    if inputs.labelled and compared.agreement is None:
        notes.append("the first output is no score per class: the labels are not used")
    tensors, matched_by, note = _compare_tensors(pair.paths, compared.kept, request)
    return ModelComparison(
        model_a=str(request.a),
        model_b=str(request.b),
        data=inputs.told,
        samples=compared.samples,
        tolerance=request.tolerance,
        same=all(row.within for row in outputs),
        agreement=compared.agreement,
        outputs=outputs,
        tensors=tensors,
        tensor_samples=len(compared.kept),
        matched_by=matched_by,
        parted=next((row for row in tensors if row.within is False), None),
        machine=get_target("local").machine(request.threads),
        notes=(*notes, *([note] if note else [])),
    )


@dataclass(frozen=True)
class _Compared:
    """What one pass over the samples found; `kept` are a few of them, one by one."""

    outputs: tuple[Difference, ...]
    agreement: Agreement | None
    samples: int
    kept: tuple[ort.Feeds, ...]
    notes: tuple[str, ...]


def _run(pair: ModelPair, inputs: Inputs, reporter: Reporter) -> _Compared:
    differences = [Differences() for _ in pair.names]
    classes = TopOne(inputs.labelled)
    kept: list[ort.Feeds] = []
    count = 0
    for batch in inputs.batches:
        expected, found = (
            [batch.without_padding(output) for output in outputs]
            for outputs in pair.run(batch.feeds)
        )
        for sums, x, y in zip(differences, expected, found, strict=True):
            sums.add(x, y, count, batch.size)
        # Several outputs are those of a detector or the like, unless labels say otherwise.
        if len(expected) == 1 or (expected and inputs.labelled):
            classes.add(expected[0], found[0], batch.targets)
        if len(kept) < TENSOR_SAMPLES:
            kept += batch.singles(pair.dynamic_batch)
        count += batch.size
        if inputs.total:
            reporter.phase("comparing", min(1.0, count / inputs.total))
    return _Compared(
        outputs=tuple(sums.result() for sums in differences),
        agreement=classes.result(),
        samples=count,
        kept=tuple(kept[:TENSOR_SAMPLES]),
        notes=tuple(classes.notes),
    )


def _compare_tensors(
    paths: tuple[Path, Path], kept: Sequence[ort.Feeds], request: CompareRequest
) -> tuple[tuple[TensorComparison, ...], str, str]:
    """The tensors of both graphs, how they were found, and a note where they were not."""
    try:
        a, b = (self_contained(path) for path in paths)
        pairs, matched_by = match_tensors(computed_tensors(a), computed_tensors(b))
        if not pairs:
            return (), "", "the graphs have no tensor in common: only the outputs are compared"
        sessions = [
            ort.create_session(
                with_outputs(model, list(dict.fromkeys(pair[side].name for pair in pairs))),
                request.threads,
            )
            for side, model in enumerate((a, b))
        ]
        return _tensor_rows(pairs, sessions, kept, request.tolerance), matched_by, ""
    except AlcsError as error:
        return (), "", f"intermediate tensors are not compared: {error}"


def _tensor_rows(
    pairs: Sequence[Pair],
    sessions: Sequence[ort.Session],
    kept: Sequence[ort.Feeds],
    tolerance: float,
) -> tuple[TensorComparison, ...]:
    sums = [Differences() for _ in pairs]
    shapes: dict[int, tuple[Shape, Shape]] = {}
    for sample, feeds in enumerate(kept):
        a, b = (ort.run(session, feeds) for session in sessions)
        for index, (first, second) in enumerate(pairs):
            x, y = a[first.name], b[second.name]
            if not is_numeric(x) or not is_numeric(y):
                continue
            # Sizes may depend on the data: one sample that parts is enough.
            known = shapes.get(index)
            if known is None or known[0] == known[1]:
                shapes[index] = (x.shape, y.shape)
            if x.shape == y.shape:
                sums[index].add(x, y, sample, 1)
    rows = []
    for index, (shape_a, shape_b) in sorted(shapes.items()):
        first, second = pairs[index]
        found = sums[index].result() if shape_a == shape_b else None
        rows.append(
            TensorComparison(
                *(first.name, second.name, first.node, second.node, first.op, second.op),
                *(shape_a, shape_b, found),
                None if found is None else found.relative <= tolerance,
            )
        )
    return tuple(rows)
