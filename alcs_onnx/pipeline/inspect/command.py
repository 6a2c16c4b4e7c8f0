"""`inspect`: what there is to know about a model file, before and after optimizing it."""

from __future__ import annotations

from dataclasses import replace

from alcs_onnx import latency
from alcs_onnx.pipeline.common.noise import noise_warnings
from alcs_onnx.pipeline.common.runnable import open_runnable, refusal, shapes_of
from alcs_onnx.pipeline.common.tables import measure_table
from alcs_onnx.pipeline.common.workload import open_workload
from alcs_onnx.pipeline.inspect import Inspection, LatencyFacts
from alcs_onnx.pipeline.inspect.coupling import coupling_facts
from alcs_onnx.pipeline.inspect.latency import latency_facts
from alcs_onnx.pipeline.inspect.model import model_facts
from alcs_onnx.pipeline.inspect.request import InspectRequest
from alcs_onnx.pipeline.inspect.sparsity import sparsity_facts
from alcs_onnx.pipeline.inspect.subject import Subject, open_subject
from alcs_onnx.reporter import SILENT, Reporter
from alcs_onnx.target import get_target
from alcs_onnx.types import LatencyTable, Timing


def inspect(request: InspectRequest, reporter: Reporter = SILENT) -> Inspection:
    """Find out about the model file of `request`.

    A model that cannot be normalised has no `coupling`: `model.problem` says why, and `reporter`
    is told. Raises a child of `AlcsError` for a file that cannot be read, and where the view is
    impossible: the latency of a model that does not run, say.
    """
    view = request.view
    shapes = shapes_of(request.model, request.inputs)
    subject = open_subject(
        request.model,
        shapes,
        fully_connected=request.fully_connected,
        reporter=reporter,
    )
    coupled = request.everything or view == "coupling"
    if coupled and not subject.problem:  # what can be removed is a promise that it runs
        subject = replace(subject, problem=refusal(subject.path))
    if view == "coupling" and subject.model is None:
        reporter.note(f"the channel groups are not known: {subject.problem}")
    sparsity = request.everything or view == "sparsity"
    return Inspection(
        model=model_facts(subject, request.simd_group),
        coupling=coupling_facts(subject) if coupled and subject.model is not None else None,
        sparsity=sparsity_facts(subject, request.simd_group) if sparsity else None,
        latency=_measured(request, subject, reporter) if view == "latency" else None,
    )


def _measured(request: InspectRequest, subject: Subject, reporter: Reporter) -> LatencyFacts:
    measuring = request.measuring
    target = get_target(measuring.target)
    machine = target.machine(measuring.threads)
    known: LatencyTable | None = None
    if request.table is not None:
        known = latency.load_table(request.table, subject.normalised().digest, machine)
    file = open_runnable(subject.path)
    (times,) = target.node_times(
        [file.data],
        threads=measuring.threads,
        iterations=measuring.iterations,
        warmup=measuring.warmup,
        feeds=file.make_feeds(request.seed, request.inputs, reporter),
        reporter=reporter,
    )
    if request.curves and known is None:
        workload = open_workload(
            subject.path,
            inputs=request.inputs,
            fully_connected=request.fully_connected,
            simd_group=request.simd_group,
            measuring=measuring,
            seed=request.seed,
            reporter=SILENT,  # what it would say of the file has been said
        )
        known = measure_table(workload, reporter)
    return latency_facts(
        subject,
        machine,
        times,
        table=known,
        simd_group=request.simd_group,
        warnings=noise_warnings(machine, [Timing.from_samples(times.wall)]),
    )
