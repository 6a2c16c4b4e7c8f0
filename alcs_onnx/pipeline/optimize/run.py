"""One run of `optimize`: the request with all that it names opened. Nothing in it changes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from alcs_onnx.errors import AlcsError
from alcs_onnx.files import check_writable
from alcs_onnx.pipeline.common.evidence import Evidence, Subject, gather
from alcs_onnx.pipeline.common.tables import Tables
from alcs_onnx.pipeline.common.training import Trainer, trainer_of
from alcs_onnx.pipeline.common.verification import require_faithful
from alcs_onnx.pipeline.common.workload import Workload, open_workload
from alcs_onnx.pipeline.optimize.checkpoint import Checkpoint
from alcs_onnx.pipeline.optimize.measured import measure_repairs
from alcs_onnx.pipeline.optimize.methods import structure_of
from alcs_onnx.pipeline.optimize.plan_file import SavedPlan, load_plan, masks_path
from alcs_onnx.pipeline.optimize.request import OptimizeRequest
from alcs_onnx.pipeline.optimize.result import Repaired
from alcs_onnx.reporter import Reporter
from alcs_onnx.structures import STRUCTURES


@dataclass(frozen=True)
class Run:
    """The model on its target, its data, and what earlier runs left behind.

    `given` is the plan of a file; `trainer` is None without data. `evidence` is what the result
    is judged by. `repaired` is None where nothing
    of the file had to be set right. `opened` are methods that were opened for other runs of the
    same model, by name.
    `began` is in seconds of the monotonic clock.
    """

    request: OptimizeRequest
    workload: Workload
    tables: Tables
    given: SavedPlan | None
    checkpoint: Checkpoint
    trainer: Trainer | None
    evidence: Evidence
    reporter: Reporter
    began: float
    repaired: Repaired | None = None
    opened: Mapping[str, Any] = field(default_factory=dict)

    @property
    def trains(self) -> bool:
        """Whether training follows the plan: with data, unless this is a dry run."""
        return self.trainer is not None and self.request.output is not None


def open_run(request: OptimizeRequest, reporter: Reporter) -> Run:
    """Open all that `request` names; raises a child of `AlcsError` for bad input."""
    began = time.monotonic()
    _check_outputs(request)
    workload = open_workload(
        request.model,
        inputs=request.inputs,
        fully_connected=request.fully_connected,
        simd_group=request.simd_group,
        measuring=request.measuring,
        seed=request.seed,
        reporter=reporter,
        structure=structure_of(request.way) or STRUCTURES.default,
    )
    require_faithful(workload, reporter)
    given = None if request.plan is None else load_plan(request.plan, workload.model)
    if given is not None and given.method != request.way:
        raise AlcsError(
            f"{request.plan}: the plan is for --method {given.method}, not {request.way}"
        )
    repaired = measure_repairs(workload)
    if repaired is not None:
        reporter.note(repaired.message)
    training = request.training
    trainer = None if training is None else trainer_of(workload, training, reporter)
    return Run(
        request=request,
        workload=workload,
        tables=_tables(request, reporter),
        given=given,
        checkpoint=_checkpoint(request),
        trainer=trainer,
        evidence=gather(Subject.of(workload), request.judging, trainer, reporter),
        reporter=reporter,
        began=began,
        repaired=repaired,
    )


def run_of(run: Run, request: OptimizeRequest, opened: Mapping[str, Any]) -> Run:
    """The run of another `request` of the same model, inputs and data, which are not opened again.

    Neither names a plan of a file. Methods that were `opened` before are taken over where their
    budget does not matter to them.
    """
    _check_outputs(request)
    training, trainer = request.training, run.trainer
    if trainer is not None and training is not None:
        trainer = replace(trainer, training=training)
    structure = structure_of(request.way) or STRUCTURES.default
    return replace(
        run,
        request=request,
        workload=replace(run.workload, structure=structure),
        tables=_tables(request, run.reporter),
        checkpoint=_checkpoint(request),
        trainer=trainer,
        opened=opened,
    )


def run_of_method(run: Run, method: str, opened: Mapping[str, Any]) -> Run:
    """The same run by another method, with those that were `opened` before.

    Contributions of channels are predicted, which is quick. Each method has checkpoints of its own.
    """
    request = run.request
    training = request.training
    if training is not None and training.checkpoint is not None:
        training = replace(training, checkpoint=Path(training.checkpoint) / method)
    channels = replace(request.channels, contributions="predicted")
    found = replace(request, method=method, channels=channels, training=training)
    return run_of(run, found, opened)


def _kept(request: OptimizeRequest) -> Path | None:
    """The folder of what an interrupted run goes on from; a dry run has none."""
    training = request.training
    if training is None or training.checkpoint is None or request.output is None:
        return None
    return Path(training.checkpoint)


def _resumes(request: OptimizeRequest) -> bool:
    return request.training is not None and request.training.resume


def _tables(request: OptimizeRequest, reporter: Reporter) -> Tables:
    return Tables(
        given=request.table,
        folder=request.tables or _kept(request),
        reuse=(request.tables is not None and not request.remeasure) or _resumes(request),
        reporter=reporter,
    )


def _checkpoint(request: OptimizeRequest) -> Checkpoint:
    return Checkpoint(_kept(request), resume=_resumes(request))


def _check_outputs(request: OptimizeRequest) -> None:
    """Refuse files that cannot be written, before anything is measured."""
    inputs = [path for path in (request.model, request.table, request.plan) if path is not None]
    outputs = [request.output] if request.output is not None else []
    if request.save_plan_to is not None:
        outputs += [request.save_plan_to, masks_path(request.save_plan_to)]
    for path in outputs:
        check_writable(path, *inputs)
