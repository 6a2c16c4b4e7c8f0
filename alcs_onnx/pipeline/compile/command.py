"""`compile`: rewrite a model that is already sparse, without removing a weight."""

from __future__ import annotations

from dataclasses import replace

from alcs_onnx.errors import AlcsError
from alcs_onnx.files import check_writable
from alcs_onnx.graph import Model, load_model, loadable, save_model, skipped_convs
from alcs_onnx.pipeline.common.evidence import Subject, gather
from alcs_onnx.pipeline.common.int8 import Quantizable, quantized_already
from alcs_onnx.pipeline.common.layers import grouped_reasons, layer_reports
from alcs_onnx.pipeline.common.runnable import open_runnable, shapes_of
from alcs_onnx.pipeline.common.verification import Check, check_against_original
from alcs_onnx.pipeline.common.workload import Workload, open_workload
from alcs_onnx.pipeline.compile.int8 import everything_int8, fastest, quickest
from alcs_onnx.pipeline.compile.quantized import has_integers, quickest_integers
from alcs_onnx.pipeline.compile.request import CompileRequest
from alcs_onnx.pipeline.compile.result import CompileResult
from alcs_onnx.reporter import SILENT, Reporter
from alcs_onnx.rewrite import compile_sparse


def compile_model(request: CompileRequest, reporter: Reporter = SILENT) -> CompileResult:
    """Rewrite every Conv of the model of `request` to the sparse op, and write it.

    With another precision than float32 nodes are int8 instead, where that is asked for or quicker.
    A file that is quantized already stays so; its convolutions become QLinearSparseConv where that
    measures quicker than the runtime's own kernels. The result is checked against the original
    before it is written, and what is int8 before it is rounded. Raises a child of `AlcsError`.
    """
    check_writable(request.output, request.model)
    if request.precision == "float32":
        shapes = shapes_of(request.model, request.inputs)
        loaded = load_model(request.model, shapes, reporter)
        if has_integers(loaded):
            return _quantized(request, _workload(request, SILENT), reporter)
        return _in_float32(request, loaded, reporter)
    workload = _workload(request, reporter)
    already = quantized_already(workload.model)
    if already:
        reporter.note(f"--precision {request.precision} has no effect: {already}")
        if has_integers(workload.model):
            return _quantized(request, workload, reporter)
        return _in_float32(request, workload.model, reporter)
    return _in_int8(request, workload, reporter)


def _workload(request: CompileRequest, reporter: Reporter) -> Workload:
    return open_workload(
        request.model,
        simd_group=request.simd_group or 1,  # nothing is pruned
        measuring=request.measuring,
        seed=request.seed,
        reporter=reporter,
        inputs=request.inputs,
    )


def _quantized(request: CompileRequest, workload: Workload, reporter: Reporter) -> CompileResult:
    """A quantized file, its integers computed by whose kernels measure quickest."""
    found = quickest_integers(workload, request.simd_group)
    why = "the runtime's own int8 kernels measured quicker than ours"
    if found.rewritten is not None and found.difference:
        why = f"computed by our kernels its integers would differ by {found.difference}"
        reporter.note(f"{why}: they stay the runtime's")
        found = found.left()
    if found.rewritten is None:
        result = _in_float32(request, workload.model, reporter)
        unchanged = result.unchanged and f"nothing was changed: {why}"
        return replace(result, unchanged=unchanged, precision=found.measured)
    written, fidelity, verdict = found.rewritten.model, None, found.verdict
    if request.judging.pictures is not None:
        evidence = gather(Subject.of(workload), request.judging, None, reporter)
        fidelity = evidence.judge.judge(loadable(written))
        verdict = fidelity.verdict(evidence.max_loss)
    save_model(written, request.output, reporter)
    return CompileResult(
        str(request.model),
        str(request.output),
        layer_reports(workload.model, found.rewritten),
        found.check.numbers,
        found.rewritten.mac_ratio,
        verdict,
        fidelity,
        request.judging.max_loss,
        precision=found.measured,
    )


def _in_float32(request: CompileRequest, loaded: Model, reporter: Reporter) -> CompileResult:
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
    _require_passed(request, check)
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


def _in_int8(request: CompileRequest, workload: Workload, reporter: Reporter) -> CompileResult:
    """int8 in all nodes that can be, or where it is quicker."""
    evidence = gather(Subject.of(workload), request.judging, None, reporter)
    assert evidence.fit is not None  # a request of int8 has pictures
    quantizable = Quantizable.open(workload, evidence.fit, reporter)
    decide = everything_int8 if request.precision == "int8" else fastest
    decision = decide(quantizable, request.simd_group, reporter)
    measured = decision.measured()
    decision, measured = quickest(decision, measured, int8=request.precision == "int8")
    check = decision.check(reporter)
    _require_passed(request, check)
    rewritten = decision.rewritten
    fidelity = evidence.judge.judge(loadable(rewritten.model))
    save_model(rewritten.model, request.output, reporter)
    return CompileResult(
        str(request.model),
        str(request.output),
        layer_reports(workload.model, rewritten, reasons=decision.reasons),
        check.numbers,
        rewritten.mac_ratio,
        fidelity.verdict(evidence.max_loss),
        fidelity,
        request.judging.max_loss,
        decision.unchanged,
        measured,
    )


def _require_passed(request: CompileRequest, check: Check) -> None:
    """Raise `AlcsError` where the file does not compute what the original does."""
    if not check.passed:
        raise AlcsError(
            f"{request.model}: the rewritten model differs from the original by "
            f"{check.difference}; nothing was written"
        )


def _unchanged(loaded: Model, layers: int) -> str:
    """That and why none of `layers` became sparse; empty where one did."""
    skipped = skipped_convs(loaded)
    if len(skipped) < layers:
        return ""
    but = f" except for {' and '.join(loaded.repairs)}" if loaded.repairs else ""
    reasons = grouped_reasons(skipped.values(), "layer")
    return f"nothing was changed{but}: no layer can be made sparse ({reasons})"
