"""`sweep`: several budgets by several methods, each through `optimize`, in one folder.

A sweep takes hours and is made to be interrupted. What is finished is taken over, and the point
in progress goes on from its last training state, with the plan that it was training.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from itertools import product
from math import isclose
from pathlib import Path
from typing import Any

from alcs_onnx.errors import AlcsError, BudgetError
from alcs_onnx.files import check_folder
from alcs_onnx.pipeline.common.results import OptimizeResult
from alcs_onnx.pipeline.common.tables import coupling_of
from alcs_onnx.pipeline.common.training import Progress, Trainer, Training
from alcs_onnx.pipeline.common.workload import (
    Measuring,
    Note,
    Workload,
    open_workload,
)
from alcs_onnx.pipeline.optimize.channel_loop import ChannelOptions
from alcs_onnx.pipeline.optimize.command import optimize
from alcs_onnx.pipeline.optimize.methods import GROUP_METHODS, METHODS
from alcs_onnx.pipeline.sweep.folder import SweepFolder
from alcs_onnx.pipeline.sweep.result import DensePoint, SweepPoint, SweepResult
from alcs_onnx.types import Budget, Machine, Shape, Timing

#: What has to agree for two parts of one sweep to be comparable.
_MACHINE = ("cpu", "isa", "threads")


def sweep(
    model: str | Path,
    budgets: str | Sequence[str],
    output: str | Path,
    *,
    methods: Sequence[str] = ("simd",),
    resume: bool = False,
    tables: str | Path | None = None,
    input_shapes: Mapping[str, Shape] | None = None,
    fully_connected: bool = False,
    simd_group: int = 4,
    projection: str = "energy-normalised",
    channels: ChannelOptions | None = None,
    measuring: Measuring | None = None,
    training: Training | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    on_note: Note | None = None,
) -> SweepResult:
    """Run `optimize` for each of `budgets` with each of `methods`; the results go to `output`.

    `budgets` are texts of `Budget.parse`, or one text with commas or spaces between. `output` is
    a folder that gets the models, `MODEL-METHOD-BUDGET.onnx`, and all that is needed to go on
    after an interruption: with `resume` finished points are taken over and the one in progress
    continues from its last checkpoint. Without it the folder has to be new or empty. Latency
    tables are measured once for each method and kept in `tables` (a folder; by default in
    `output`), where those of an earlier sweep of the same model are found. The other arguments
    are those of `optimize`; a checkpoint folder in `training` is not used.

    A budget that cannot be reached is a point that says so. Raises a child of `AlcsError` that
    names the point for anything else that goes wrong, and before the folder is touched for bad
    input; so it does when a resumed sweep was begun with other settings.
    """
    note = on_note or (lambda text: None)
    wanted = parse_budgets([budgets] if isinstance(budgets, str) else budgets)
    _check_methods(methods)
    options, how = channels or ChannelOptions(), measuring or Measuring()
    folder = SweepFolder(Path(output), Path(model))
    folder.check(resume=resume)
    if tables is not None:
        check_folder(Path(tables))
    workload = open_workload(
        Path(model),
        input_shapes=input_shapes or {},
        fully_connected=fully_connected,
        simd_group=simd_group,
        measuring=how,
        seed=seed,
        on_note=note,
    )
    _check_model(workload, methods, options, trains=training is not None)
    trained = Trainer(workload, training, seed, progress, note) if training else None
    machine = workload.target.machine(how.threads)
    settings: dict[str, Any] = {
        "model_digest": workload.model.digest,
        "machine": {name: getattr(machine, name) for name in _MACHINE},
        "budgets": [_name(budget) for budget in wanted],
        "methods": list(methods),
        "input_shapes": {name: list(shape) for name, shape in (input_shapes or {}).items()},
        "fully_connected": fully_connected,
        "simd_group": simd_group,
        "projection": projection,
        "channels": asdict(options),
        "measuring": asdict(how),
        "training": _training_settings(training, trained),
        "seed": seed,
    }
    dense = folder.begun(settings)
    if dense is None:
        dense = _measure_dense(workload, machine, trained)
        folder.begin(dense)
    del trained  # each point loads the data for itself
    make = partial(
        optimize,
        model,
        input_shapes=input_shapes,
        fully_connected=fully_connected,
        simd_group=simd_group,
        projection=projection,
        channels=options,
        tables=folder.tables if tables is None else tables,
        measuring=how,
        seed=seed,
        progress=progress,
        on_note=note,
    )
    points, rows = list(product(methods, wanted)), []
    for number, (method, budget) in enumerate(points, start=1):
        name = f"{method}-{_name(budget)}"
        told = f"point {number} of {len(points)}: {method} at {budget.text}"
        row = folder.read_point(name)
        if row is None:
            note(told)
            row = _make_point(make, folder, name, method, budget, training)
            note(row.message)
        else:
            note(f"{told}: finished before, {row.status}")
        rows.append(row)
    swept = SweepResult(str(model), workload.model.digest, dense, tuple(rows), settings)
    folder.write_result(swept)
    return swept


def _make_point(
    make: Callable[..., OptimizeResult],
    folder: SweepFolder,
    name: str,
    method: str,
    budget: Budget,
    training: Training | None,
) -> SweepPoint:
    """Optimize for one budget by one method, going on where that was interrupted."""
    output, result = folder.output(name), None
    try:
        result = make(
            budget=budget,
            output=output,
            method=method,
            save_plan_to=folder.plan(name),
            training=_of_point(training, folder.checkpoint(name)),
        )
        row = SweepPoint.from_result(method, budget.text, result, output.name)
    except BudgetError as error:
        row = SweepPoint(method, budget.text, "unreachable", str(error))
    except AlcsError as error:
        raise type(error)(f"{method} at {budget.text}: {error}") from error
    folder.write_point(name, row, result)
    return row


def parse_budgets(texts: Iterable[str]) -> list[Budget]:
    """Budgets from texts with commas or spaces between; `AlcsError` for nonsense and duplicates."""
    parts = [part for text in texts for part in re.split(r"[,\s]+", text) if part]
    if not parts:
        raise AlcsError("a sweep needs budgets: 80%,60%,40%")
    budgets: list[Budget] = []
    for part in parts:
        budget = Budget.parse(part)
        for other in budgets:
            if _same(budget, other):
                also = "" if other.text == budget.text else f", as {other.text}"
                raise AlcsError(f"the budget {budget.text} is there twice{also}")
        budgets.append(budget)
    return budgets


def _same(one: Budget, other: Budget) -> bool:
    pairs = ((one.milliseconds, other.milliseconds), (one.fraction, other.fraction))
    return any(a is not None and b is not None and isclose(a, b) for a, b in pairs)


def _name(budget: Budget) -> str:
    """The budget as part of a file's name."""
    return "".join(budget.text.split()).lower()


def _check_methods(methods: Sequence[str]) -> None:
    if not methods:
        raise AlcsError(f"a sweep needs methods: {', '.join(METHODS)}")
    for index, method in enumerate(methods):
        METHODS.check(method)
        if method in methods[:index]:
            raise AlcsError(f"the method {method} is there twice")


def _check_model(
    workload: Workload, methods: Sequence[str], options: ChannelOptions, *, trains: bool
) -> None:
    """Raise now what a later point would raise, after hours."""
    if any(method not in GROUP_METHODS for method in methods):
        coupling_of(workload.model)
        if options.score == "taylor" and not trains:
            raise AlcsError("the score 'taylor' needs --data to take gradients from")


def _measure_dense(workload: Workload, machine: Machine, trained: Trainer | None) -> DensePoint:
    timing = Timing.from_samples(workload.time([workload.original])[0])
    if trained is None:
        return DensePoint(timing, machine)
    trained.evaluate("dense", None)
    return DensePoint(timing, machine, trained.stages.get("dense"), trained.kind, trained.samples)


def _training_settings(training: Training | None, trained: Trainer | None) -> Any:
    """The training that was asked for, with every default that it goes by."""
    if training is None or trained is None:
        return None
    file = Path(training.data)
    return {
        "data": training.data,
        "data_digest": hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None,
        "preprocess": training.preprocess,
        "augment": training.augment,
        **trained.config.as_dict(),
    }


def _of_point(training: Training | None, checkpoint: Path) -> Training | None:
    """The training with states of its own, which goes on where there are some."""
    return None if training is None else replace(training, checkpoint=checkpoint, resume=True)
