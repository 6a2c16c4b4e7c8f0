"""`sweep`: several budgets by several methods, each through `optimize`, in one folder.

A sweep takes hours and is made to be interrupted. What is finished is taken over, and the point
in progress goes on from its last training state, with the plan that it was training.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import Any

from alcs_onnx.errors import AlcsError, BudgetError, UnsupportedError
from alcs_onnx.files import check_folder
from alcs_onnx.importance import SCORES, needs_gradients
from alcs_onnx.input_settings import InputSettings
from alcs_onnx.pipeline.common.evidence import Judging
from alcs_onnx.pipeline.common.tables import coupling_of
from alcs_onnx.pipeline.common.training import Trainer
from alcs_onnx.pipeline.common.workload import Workload
from alcs_onnx.pipeline.optimize.begun import begin, open_method
from alcs_onnx.pipeline.optimize.command import optimize_run
from alcs_onnx.pipeline.optimize.finish import finish
from alcs_onnx.pipeline.optimize.method import Pruning
from alcs_onnx.pipeline.optimize.methods import (
    AUTO,
    CHANNEL_METHODS,
    REFITS,
    has_precision,
    part_of,
)
from alcs_onnx.pipeline.optimize.request import OptimizeRequest
from alcs_onnx.pipeline.optimize.result import OptimizeResult
from alcs_onnx.pipeline.optimize.run import Run, open_run, run_of
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
    _check_score(request)
    run = open_run(request.opening(), reporter)
    if request.methods is not None:
        _check_model(run.workload, request.methods)
    machine = run.workload.target.machine(request.measuring.threads)
    settings = _settings(request, run.workload, machine, run.trainer)
    dense = folder.begun(settings)
    if dense is None:
        dense = _measure_dense(run, machine)
        folder.begin(dense)
    points, rows = list(product(request.ways, request.budgets)), []
    opened: dict[str, Pruning[Any]] = {}
    for number, (method, budget) in enumerate(points, start=1):
        name = f"{method}-{_name(budget)}"
        told = f"point {number} of {len(points)}: {method} at {budget.text}"
        row = folder.read_point(name)
        if row is None:
            reporter.note(told)
            point = _request_of(request, folder, method, budget)
            row, result = _make_point(run, point, opened, dense)
            folder.write_point(name, row, result)
            reporter.note(row.message)
        else:
            reporter.note(f"{told}: finished before, {row.status}")
        rows.append(row)
    swept = SweepResult(str(request.model), run.workload.model.digest, dense, tuple(rows), settings)
    folder.write_result(swept)
    return swept


def _request_of(
    request: SweepRequest, folder: SweepFolder, method: str, budget: Budget
) -> OptimizeRequest:
    """The run of one point, which goes on where that was interrupted."""
    name = f"{method}-{_name(budget)}"
    training = request.training
    if training is not None:  # with states of its own, which goes on where there are some
        training = replace(training, checkpoint=folder.checkpoint(name), resume=True)
    return request.point(
        method,
        budget,
        output=folder.output(name),
        plan=folder.plan(name),
        tables=request.tables or folder.tables,
        training=training,
    )


def _make_point(
    run: Run, request: OptimizeRequest, opened: dict[str, Pruning[Any]], dense: DensePoint
) -> tuple[SweepPoint, OptimizeResult | None]:
    """Optimize for one budget by one method; `opened` are those that were opened before.

    A budget that the method cannot reach is a point that says so, and so is one of a method that
    can do nothing for this model or on this machine.
    """
    method, budget = request.way, request.budget.text
    if method == AUTO and has_precision("int8", request.precision):
        with suppress(UnsupportedError):
            _opened(run_of(run, replace(request, method="int8"), opened), opened)
    own = replace(run_of(run, request, opened), began=time.monotonic())
    try:
        result = optimize_run(own) if method == AUTO else finish(begin(own, _opened(own, opened)))
    except (BudgetError, UnsupportedError) as error:
        return SweepPoint(method, budget, "unreachable", str(error)), None
    except AlcsError as error:
        raise type(error)(f"{method} at {budget}: {error}") from error
    assert request.output is not None
    name = request.output.name
    return SweepPoint.from_result(method, budget, result, name, dense.measure), result


def _opened(run: Run, opened: dict[str, Pruning[Any]]) -> Pruning[Any]:
    """The method of `run`, which is kept for later points, as is the one that it goes on from.

    What does not depend on the budget is so found out once.
    """
    method = run.request.way
    part = part_of(method)
    if part and part not in opened:
        request = replace(run.request, method=part)
        opened[part] = open_method(run_of(run, request, opened))
    found = open_method(run)
    opened.setdefault(method, found)
    return found


def _name(budget: Budget) -> str:
    """The budget as part of a file's name."""
    return "".join(budget.text.split()).lower()


def _check_score(request: SweepRequest) -> None:
    """Raise now what a later point would raise, after hours."""
    score = request.channels.score
    channels = bool(set(request.ways) & set(CHANNEL_METHODS))
    if channels and needs_gradients(score) and request.training is None:
        raise AlcsError(f"the score '{score}' needs --data to take gradients from")


def _check_model(workload: Workload, methods: Sequence[str]) -> None:
    """The same of `methods` that were asked for by name."""
    if set(methods) & set(CHANNEL_METHODS):
        coupling_of(workload.model)


def _measure_dense(run: Run, machine: Machine) -> DensePoint:
    """The dense model by the measure that points have, too: that of the verdict."""
    timing = run.workload.time_dense()
    judged, trainer = run.evidence.judge.judge(run.workload.original), run.trainer
    own = trainer is not None and (trainer.data.metric or trainer.data.loss) is not None
    found = trainer.evaluate(run.workload.model) if trainer is not None and own else None
    if found is not None and found.kind == "metric":
        return DensePoint(timing, machine, 100 * found.value, found.kind, found.samples)
    if judged.quality is None:
        return DensePoint(timing, machine)
    return DensePoint(timing, machine, judged.quality, judged.measured_by, judged.samples)


def _settings(
    request: SweepRequest, workload: Workload, machine: Machine, trainer: Trainer | None
) -> Mapping[str, Any]:
    """What a sweep is, for one that goes on to be compared with."""
    epochs = request.closing_epochs
    return {
        "model_digest": workload.model.digest,
        "machine": {name: getattr(machine, name) for name in _MACHINE},
        "budgets": [_name(budget) for budget in request.budgets],
        "methods": list(request.ways),
        **_input_settings(request.inputs),
        "fully_connected": request.fully_connected,
        "simd_group": request.simd_group,
        "projection": request.projection,
        **({} if request.score == SCORES.default else {"score": request.score}),
        **({} if request.refit == REFITS[0] else {"refit": request.refit}),
        **({} if epochs is None else {"closing_epochs": epochs}),
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
