"""`inspect`: what there is to know about a model file, before and after optimizing it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from alcs_onnx import latency
from alcs_onnx.errors import AlcsError
from alcs_onnx.pipeline.common.noise import noise_warnings
from alcs_onnx.pipeline.common.runnable import open_runnable
from alcs_onnx.pipeline.common.tables import measure_table
from alcs_onnx.pipeline.common.workload import Measuring, Note, open_workload
from alcs_onnx.pipeline.inspect import Inspection, LatencyFacts
from alcs_onnx.pipeline.inspect.coupling import coupling_facts
from alcs_onnx.pipeline.inspect.latency import latency_facts
from alcs_onnx.pipeline.inspect.model import model_facts
from alcs_onnx.pipeline.inspect.sparsity import sparsity_facts
from alcs_onnx.pipeline.inspect.subject import Subject, open_subject
from alcs_onnx.target import get_target
from alcs_onnx.types import LatencyTable, Shape, Timing

#: What can be looked at. The facts of the model itself are always there.
VIEWS = ("model", "coupling", "sparsity", "latency")


def inspect(
    model: str | Path,
    view: str = "model",
    *,
    everything: bool = False,
    input_shapes: Mapping[str, Shape] | None = None,
    fully_connected: bool = False,
    simd_group: int = 4,
    curves: bool = False,
    table: str | Path | None = None,
    measuring: Measuring | None = None,
    seed: int = 0,
    progress: latency.Progress | None = None,
    on_note: Note | None = None,
) -> Inspection:
    """Find out about the model file `model`, which may be any ONNX file.

    `view` is one of `VIEWS`: the file and what `optimize` would do with each layer, its channel
    groups, its zeros, or its measured latency. With `everything`, all that needs no measuring is
    found out as well, as far as the model allows. `simd_group` is the group size in which zeros
    are counted and layers would be stored. `curves` measures each layer at 11 densities, too;
    `table`, one of `profile`, has them already. `measuring` and `seed` are for the latency.

    A model that cannot be normalised has no `coupling`: `model.problem` says why, and `on_note` is
    told. Raises a child of `AlcsError` for a file that cannot be read, and where the view is
    impossible: the latency of a model that does not run, say.
    """
    if view not in VIEWS:
        raise AlcsError(f"view '{view}' is not known: use {', '.join(VIEWS)}")
    if view != "latency" and (curves or table is not None):
        raise AlcsError("curves are part of the view 'latency' only")
    note = on_note or (lambda text: None)
    subject = open_subject(
        Path(model), input_shapes or {}, fully_connected=fully_connected, on_note=note
    )
    coupled = everything or view == "coupling"
    if view == "coupling" and subject.model is None:
        note(f"the channel groups are not known: {subject.problem}")
    measured = None
    if view == "latency":
        measured = _measured(
            subject,
            input_shapes=input_shapes or {},
            fully_connected=fully_connected,
            simd_group=simd_group,
            curves=curves,
            table=None if table is None else Path(table),
            measuring=measuring or Measuring(),
            seed=seed,
            progress=progress,
        )
    return Inspection(
        model=model_facts(subject, simd_group),
        coupling=coupling_facts(subject) if coupled and subject.model is not None else None,
        sparsity=sparsity_facts(subject, simd_group) if everything or view == "sparsity" else None,
        latency=measured,
    )


def _measured(
    subject: Subject,
    *,
    input_shapes: Mapping[str, Shape],
    fully_connected: bool,
    simd_group: int,
    curves: bool,
    table: Path | None,
    measuring: Measuring,
    seed: int,
    progress: latency.Progress | None,
) -> LatencyFacts:
    target = get_target(measuring.target)
    machine = target.machine(measuring.threads)
    known: LatencyTable | None = None
    if table is not None:
        known = latency.load_table(table, subject.normalised().digest, machine)
    file = open_runnable(subject.path)
    feeds = file.random_feeds(seed, input_shapes)
    (times,) = target.node_times(
        [file.data],
        threads=measuring.threads,
        iterations=measuring.iterations,
        warmup=measuring.warmup,
        feeds=feeds,
        progress=progress and (lambda share: progress("measuring the file", share)),
    )
    if curves and known is None:
        workload = open_workload(
            subject.path,
            input_shapes=input_shapes,
            fully_connected=fully_connected,
            simd_group=simd_group,
            measuring=measuring,
            seed=seed,
            on_note=lambda text: None,  # told already
        )
        known = measure_table(workload, progress)
    return latency_facts(
        subject,
        machine,
        times,
        table=known,
        simd_group=simd_group,
        warnings=noise_warnings(machine, [Timing.from_samples(times.wall)]),
    )
