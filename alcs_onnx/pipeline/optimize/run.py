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
    of the file had to be set right. `opened` are other methods that were opened for it, by name.
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
    kept, resume = None, training is not None and training.resume
    if training is not None and training.checkpoint is not None and request.output is not None:
        kept = Path(training.checkpoint)
    return Run(
        request=request,
        workload=workload,
        tables=Tables(
            given=request.table,
            folder=request.tables or kept,
            reuse=request.tables is not None or resume,
            reporter=reporter,
        ),
        given=given,
        checkpoint=Checkpoint(kept, resume=resume),
        trainer=trainer,
        evidence=gather(Subject.of(workload), request.judging, trainer, reporter),
        reporter=reporter,
        began=began,
        repaired=repaired,
    )


def run_of_method(run: Run, method: str, opened: Mapping[str, Any]) -> Run:
    """The same run by another method, with those that were `opened` before.

    Contributions of channels are predicted, which is quick.
    """
    request = run.request
    channels = replace(request.channels, contributions="predicted")
    structure = structure_of(method) or STRUCTURES.default
    return replace(
        run,
        request=replace(request, method=method, channels=channels),
        workload=replace(run.workload, structure=structure),
        opened=opened,
    )


def _check_outputs(request: OptimizeRequest) -> None:
    """Refuse files that cannot be written, before anything is measured."""
    inputs = [path for path in (request.model, request.table, request.plan) if path is not None]
    outputs = [request.output] if request.output is not None else []
    if request.save_plan_to is not None:
        outputs += [request.save_plan_to, masks_path(request.save_plan_to)]
    for path in outputs:
        check_writable(path, *inputs)
