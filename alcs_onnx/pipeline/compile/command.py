"""`compile`: rewrite a model that is already sparse, without changing a weight."""

from __future__ import annotations

from alcs_onnx.errors import AlcsError
from alcs_onnx.files import check_writable
from alcs_onnx.graph import Model, load_model, loadable, save_model, skipped_convs
from alcs_onnx.pipeline.common.evidence import Subject, gather
from alcs_onnx.pipeline.common.layers import grouped_reasons, layer_reports
from alcs_onnx.pipeline.common.runnable import open_runnable, shapes_of
from alcs_onnx.pipeline.common.verification import check_against_original
from alcs_onnx.pipeline.compile.request import CompileRequest
from alcs_onnx.pipeline.compile.result import CompileResult
from alcs_onnx.reporter import SILENT, Reporter
from alcs_onnx.rewrite import compile_sparse


def compile_model(request: CompileRequest, reporter: Reporter = SILENT) -> CompileResult:
    """Rewrite every Conv of the model of `request` to the sparse op, and write it.

    The result is checked against the original before it is written. Raises a child of
    `AlcsError`.
    """
    check_writable(request.output, request.model)
    loaded = load_model(request.model, shapes_of(request.model, request.inputs), reporter)
    rewritten = compile_sparse(loaded, request.simd_group)
    written = loadable(rewritten.model)
    file = open_runnable(request.model)
    inputs = request.inputs.with_shapes({info.name: info.shape for info in loaded.inputs})
    evidence = None
    if request.judging.pictures is not None:
        feeds = file.make_feeds(request.seed, inputs)
        subject = Subject(file.data, loaded, inputs, feeds, request.seed)
        evidence = gather(subject, request.judging, None, reporter)
    check = check_against_original(
        file.data,
        written,
        inputs,
        request.seed,
        loaded.initializers,
    )
    if not check.passed:
        raise AlcsError(
            f"{request.model}: the rewritten model differs from the original by "
            f"{check.difference}; nothing was written"
        )
    for text in (*check.guesses, *check.notes):
        reporter.note(text)
    fidelity = None
    verdict = "nothing is lost: the outputs are the original's, within the tolerance"
    if evidence is not None:
        fidelity = evidence.judge.judge(written)
        verdict = fidelity.verdict(evidence.max_loss)
    save_model(rewritten.model, request.output, reporter)
    return CompileResult(
        str(request.model),
        str(request.output),
        layer_reports(loaded, rewritten),
        check.numbers,
        rewritten.mac_ratio,
        verdict,
        fidelity,
        request.judging.max_loss,
        _unchanged(loaded, len(rewritten.layers)),
    )


def _unchanged(loaded: Model, layers: int) -> str:
    """That and why none of `layers` became sparse; empty where one did."""
    skipped = skipped_convs(loaded)
    if len(skipped) < layers:
        return ""
    but = f" except for {' and '.join(loaded.repairs)}" if loaded.repairs else ""
    reasons = grouped_reasons(skipped.values(), "layer")
    return f"nothing was changed{but}: no layer can be made sparse ({reasons})"
