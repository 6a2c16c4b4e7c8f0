"""`optimize`: a model and a latency budget in, a model within the budget out.

Load, measure, solve and measure until the budget is met, train, rewrite, check, measure again,
write. What is removed, and so all between loading and writing, is the method's business.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from alcs_onnx.errors import AlcsError
from alcs_onnx.files import check_writable
from alcs_onnx.pipeline.common.results import OptimizeResult
from alcs_onnx.pipeline.common.tables import Tables
from alcs_onnx.pipeline.common.training import Progress, Trainer, Training
from alcs_onnx.pipeline.common.workload import Measuring, Note, open_workload
from alcs_onnx.pipeline.optimize.channel_loop import ChannelOptions
from alcs_onnx.pipeline.optimize.checkpoint import RunState
from alcs_onnx.pipeline.optimize.finishing import finish
from alcs_onnx.pipeline.optimize.methods import METHODS, structure_of
from alcs_onnx.pipeline.optimize.plan_file import load_plan, masks_path, save_plan
from alcs_onnx.pipeline.optimize.request import Request
from alcs_onnx.structures import STRUCTURES
from alcs_onnx.types import Budget, Shape


def optimize(
    model: str | Path,
    budget: Budget | str,
    output: str | Path | None,
    *,
    input_shapes: Mapping[str, Shape] | None = None,
    fully_connected: bool = False,
    method: str = "simd",
    simd_group: int = 4,
    projection: str = "energy-normalised",
    channels: ChannelOptions | None = None,
    table: str | Path | None = None,
    tables: str | Path | None = None,
    plan: str | Path | None = None,
    save_plan_to: str | Path | None = None,
    measuring: Measuring | None = None,
    training: Training | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    on_note: Note | None = None,
) -> OptimizeResult:
    """Make the model file `model` meet `budget`, and write it to `output`.

    The problem is ALCS eq. 1, SP-LAMP eq. 4: the least loss whose latency is within the budget.

    `method` removes SIMD groups of weights ("simd"), rows or columns of the weight matrices
    ("filter", "shape"), single weights ("unstructured"), whole channels ("channel"), or
    channels and then SIMD groups ("hybrid"). `simd_group` matters to the methods with SIMD
    groups. `output` None is a dry run: everything before training, nothing
    written. Without `training` weights are removed but none is trained. `table` is a saved
    latency table of the method to use instead of measuring one, and `tables` a folder where
    tables are kept and those of earlier runs found. `plan` is a saved pruning plan
    to apply instead of solving, and `save_plan_to` a file for the one that was made. The result
    says whether the measured model is within [0.95, 1] x budget, and `status` "missed" when it
    is above.

    `fully_connected` also prunes fully connected layers, in balance with the convolutions
    (ADAM-ADMM section 5.1); they are convolutions in the written model.

    Raises `BudgetError` when the budget cannot be reached, before anything is trained, and
    another child of `AlcsError` for bad input; no file is written or changed then.
    """
    began, note = time.monotonic(), on_note or (lambda text: None)
    METHODS.check(method)
    wanted = Budget.parse(budget) if isinstance(budget, str) else budget
    inputs = [Path(path) for path in (model, table, plan) if path is not None]
    if output is not None:
        check_writable(Path(output), *inputs)
    if save_plan_to is not None:
        for path in (Path(save_plan_to), masks_path(Path(save_plan_to))):
            check_writable(path, *inputs)
    workload = open_workload(
        Path(model),
        input_shapes=input_shapes or {},
        fully_connected=fully_connected,
        simd_group=simd_group,
        measuring=measuring or Measuring(),
        seed=seed,
        on_note=note,
        structure=structure_of(method) or STRUCTURES.default,
    )
    saved = None if plan is None else load_plan(Path(plan), workload.model)
    if saved is not None and saved.method != method:
        raise AlcsError(f"{plan}: the plan is for --method {saved.method}, not {method}")
    checkpoint = training.checkpoint if training is not None and output is not None else None
    kept = None if checkpoint is None else Path(checkpoint)
    resume = training is not None and training.resume
    request = Request(
        workload=workload,
        budget=wanted,
        method=method,
        projection=projection,
        channels=channels or ChannelOptions(),
        tables=Tables(
            given=None if table is None else Path(table),
            folder=kept if tables is None else Path(tables),
            reuse=tables is not None or resume,
        ),
        plan=saved,
        state=RunState(kept, resume=resume),
        trained=Trainer(workload, training, seed, progress, note) if training else None,
        output=None if output is None else Path(output),
        seed=seed,
        progress=progress,
        note=note,
    )
    outcome = METHODS[method](request)
    if save_plan_to is not None and outcome.plan is not None:
        save_plan(outcome.plan, Path(save_plan_to))
    return finish(request, outcome, began)
