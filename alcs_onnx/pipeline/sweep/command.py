"""`sweep`: several budgets by several methods, each through `optimize`, in one folder.

A sweep takes hours and is made to be interrupted. What is finished is taken over, and the point
in progress goes on from its last training state, with the plan that it was training.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import Any

from alcs_onnx.errors import AlcsError, BudgetError
from alcs_onnx.files import check_folder
from alcs_onnx.importance import SCORES, needs_gradients
from alcs_onnx.input_settings import InputSettings
from alcs_onnx.pipeline.common.evidence import Evidence, Judging, Subject, gather
from alcs_onnx.pipeline.common.tables import coupling_of
from alcs_onnx.pipeline.common.training import Trainer, trainer_of
from alcs_onnx.pipeline.common.workload import Workload, open_workload
from alcs_onnx.pipeline.optimize import optimize
from alcs_onnx.pipeline.optimize.methods import CHANNEL_METHODS
from alcs_onnx.pipeline.sweep.folder import SweepFolder
from alcs_onnx.pipeline.sweep.request import SweepRequest
from alcs_onnx.pipeline.sweep.result import DensePoint, SweepPoint, SweepResult
from alcs_onnx.reporter import SILENT, Reporter
from alcs_onnx.types import Budget, Machine

#: What has to agree for two parts of one sweep to be comparable.
_MACHINE = ("cpu", "isa", "threads")


def sweep(request: SweepRequest, reporter: Reporter = SILENT) -> SweepResult:
    """Run `optimize` for every budget and method of `request`; latency tables are measured once.

    A budget that cannot be reached is a point that says so. Raises a child of `AlcsError` that
    names the point for anything else that goes wrong, and before the folder is touched for bad
    input; so it does when a resumed sweep was begun with other settings.
    """
    folder = SweepFolder(request.output, request.model)
    folder.check(resume=request.resume)
    if request.tables is not None:
        check_folder(request.tables)
    workload = open_workload(
        request.model,
        inputs=request.inputs,
        fully_connected=request.fully_connected,
        simd_group=request.simd_group,
        measuring=request.measuring,
        seed=request.seed,
        reporter=reporter,
    )
    _check_model(request, workload)
    trainer = None
    if request.training is not None:
        trainer = trainer_of(workload, request.training, reporter)
    evidence = gather(Subject.of(workload), request.judging, trainer, reporter)
    machine = workload.target.machine(request.measuring.threads)
    settings = _settings(request, workload, machine, trainer)
    dense = folder.begun(settings)
    if dense is None:
        dense = _measure_dense(workload, machine, trainer, evidence)
        folder.begin(dense)
    del trainer, evidence  # each point loads the data for itself
    points, rows = list(product(request.methods, request.budgets)), []
    for number, (method, budget) in enumerate(points, start=1):
        name = f"{method}-{_name(budget)}"
        told = f"point {number} of {len(points)}: {method} at {budget.text}"
        row = folder.read_point(name)
        if row is None:
            reporter.note(told)
            row = _make_point(request, folder, method, budget, reporter)
            reporter.note(row.message)
        else:
            reporter.note(f"{told}: finished before, {row.status}")
        rows.append(row)
    swept = SweepResult(str(request.model), workload.model.digest, dense, tuple(rows), settings)
    folder.write_result(swept)
    return swept


def _make_point(
    request: SweepRequest, folder: SweepFolder, method: str, budget: Budget, reporter: Reporter
) -> SweepPoint:
    """Optimize for one budget by one method, going on where that was interrupted."""
    name = f"{method}-{_name(budget)}"
    output, result = folder.output(name), None
    training = request.training
    if training is not None:  # with states of its own, which goes on where there are some
        training = replace(training, checkpoint=folder.checkpoint(name), resume=True)
    point = request.point(
        method,
        budget,
        output=output,
        plan=folder.plan(name),
        tables=request.tables or folder.tables,
        training=training,
    )
    try:
        result = optimize(point, reporter)
        row = SweepPoint.from_result(method, budget.text, result, output.name)
    except BudgetError as error:
        row = SweepPoint(method, budget.text, "unreachable", str(error))
    except AlcsError as error:
        raise type(error)(f"{method} at {budget.text}: {error}") from error
    folder.write_point(name, row, result)
    return row


def _name(budget: Budget) -> str:
    """The budget as part of a file's name."""
    return "".join(budget.text.split()).lower()


def _check_model(request: SweepRequest, workload: Workload) -> None:
    """Raise now what a later point would raise, after hours."""
    if any(method in CHANNEL_METHODS for method in request.methods):
        coupling_of(workload.model)
        score = request.channels.score
        if needs_gradients(score) and request.training is None:
            raise AlcsError(f"the score '{score}' needs --data to take gradients from")


def _measure_dense(
    workload: Workload, machine: Machine, trainer: Trainer | None, evidence: Evidence
) -> DensePoint:
    timing = workload.time_dense()
    found = None if trainer is None else trainer.evaluate(workload.model)
    if found is not None:
        return DensePoint(timing, machine, 100 * found.value, found.kind, found.samples)
    judged = evidence.judge.judge(workload.original)
    if judged.quality is None:
        return DensePoint(timing, machine)
    return DensePoint(timing, machine, judged.quality, judged.kind, judged.samples)


def _settings(
    request: SweepRequest, workload: Workload, machine: Machine, trainer: Trainer | None
) -> Mapping[str, Any]:
    """What a sweep is, for one that goes on to be compared with."""
    return {
        "model_digest": workload.model.digest,
        "machine": {name: getattr(machine, name) for name in _MACHINE},
        "budgets": [_name(budget) for budget in request.budgets],
        "methods": list(request.methods),
        **_input_settings(request.inputs),
        "fully_connected": request.fully_connected,
        "simd_group": request.simd_group,
        "projection": request.projection,
        **({} if request.score == SCORES.default else {"score": request.score}),
        "channels": asdict(request.channels),
        "measuring": asdict(request.measuring),
        **({} if request.judging == Judging() else {"judging": asdict(request.judging)}),
        "training": None if trainer is None else _training_settings(trainer),
        "seed": request.seed,
    }


def _input_settings(inputs: InputSettings) -> Mapping[str, Any]:
    """The settings of inputs; but for the shapes, what was not given has no key."""
    found: dict[str, Any] = {"input_shapes": {n: list(x) for n, x in inputs.shapes.items()}}
    if inputs.sizes:
        found["input_sizes"] = dict(inputs.sizes)
    if inputs.values:
        found["input_values"] = {
            name: hashlib.sha256(repr(x.tolist()).encode()).hexdigest()
            for name, x in inputs.values.items()
        }
    return found


def _training_settings(trainer: Trainer) -> Mapping[str, Any]:
    """The training that was asked for, with every default that it goes by."""
    training = trainer.training
    file = Path(training.data)
    return {
        "data": training.data,
        "data_digest": hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None,
        "preprocess": training.preprocess,
        "augment": training.augment,
        **trainer.config.as_dict(),
    }
