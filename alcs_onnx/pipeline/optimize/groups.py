"""`optimize --method simd`, and those of other structures: groups of weights are removed.

Every Conv becomes sparse. What a group is, is the workload's structure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from alcs_onnx.errors import AlcsError
from alcs_onnx.graph import Model, model_macs
from alcs_onnx.pipeline.common.layers import layer_reports
from alcs_onnx.pipeline.common.pruned import masked_model, sparse_model
from alcs_onnx.pipeline.common.training import Trainer
from alcs_onnx.pipeline.common.verification import numeric_check, written_form
from alcs_onnx.pipeline.common.workload import Note, Workload
from alcs_onnx.pipeline.optimize.budget import BudgetLoop
from alcs_onnx.pipeline.optimize.checkpoint import FINETUNE, FIRST, RunState, resumable
from alcs_onnx.pipeline.optimize.plan_file import SavedPlan
from alcs_onnx.pipeline.optimize.request import Outcome, Request, already_within
from alcs_onnx.types import FloatArray, LatencyTable, PruningPlan

if TYPE_CHECKING:
    from alcs_onnx.train import Projection


def prune_groups(request: Request) -> Outcome:
    """Measure, solve and measure until the budget is met; train; rewrite.

    ALCS Algorithm 2, with measured latencies in place of estimates alone.

    Raises `BudgetError` when the budget cannot be reached, before anything is trained.
    """
    table = request.tables.of_layers(request.workload, request.stage())
    return prune_with_table(request, request.workload, table)


def prune_with_table(request: Request, workload: Workload, table: LatencyTable) -> Outcome:
    """The same with a latency table of `workload`, whose model may have lost channels before."""
    note, trained = request.note, request.trained
    loop = BudgetLoop(workload, table, request.budget, request.projection, note)
    unchanged = already_within(request, loop, table)
    if unchanged is not None:
        return unchanged
    given = request.plan.groups if request.plan is not None else None
    if given is not None:
        plan = _planned(loop, workload, given, note)
    else:
        plan = resumable(request.state, FIRST, loop, lambda: _chosen(loop))
    final = masked_model(workload.model, plan)
    if trained is not None:
        trained.evaluate("dense", None)
        trained.evaluate("one-shot", None, final)
    if trained is not None and request.trains:
        plan, final = _train(trained, loop, plan, request.state, planned=given is not None)
    rewritten = sparse_model(final, plan, loop.left_alone, workload.simd_group)
    written = written_form(rewritten.model)

    return Outcome(
        dense=table.dense,
        machine=table.machine,
        budget_ms=loop.budget_ms,
        reachable_ms=loop.range_ms(),
        predicted_ms=plan.predicted_ms,
        predicted_share=plan.predicted_ms / loop.dense_ms,
        model=written,
        check=numeric_check(written, masked_model(final, plan), request.seed),
        mac_ratio=rewritten.mac_ratio * rewritten.dense_macs / model_macs(workload.model),
        layers=lambda times: layer_reports(
            workload.model, rewritten, reasons=plan.reasons, table=table, measured=times
        ),
        plan=SavedPlan(workload.structure, None, plan, {"projection": request.projection}),
        keeps_all=all(mask.all() for mask in plan.keep.values()),
        settings={
            "projection": request.projection,
            **({"simd_group": workload.simd_group} if workload.structure == "simd" else {}),
        },
        curves=table.curves,
    )


def _chosen(loop: BudgetLoop) -> PruningPlan:
    """The solver's choice, measured to be within the budget."""
    candidate = loop.meet(loop.weights())
    if loop.leave_slower_alone(candidate):
        candidate = loop.meet(loop.weights())
    candidate.require_met()
    return candidate.plan


def _planned(loop: BudgetLoop, workload: Workload, plan: PruningPlan, note: Note) -> PruningPlan:
    """A plan from a file, measured. Channels may have gone and weights been repaired before."""
    if plan.structure != workload.structure:
        raise AlcsError(
            f"the plan keeps groups of structure '{plan.structure}', not '{workload.structure}'"
        )
    if workload.structure == "simd" and plan.simd_group != workload.simd_group:
        raise AlcsError(
            f"the plan is for groups of {plan.simd_group}, not {workload.simd_group}: "
            f"use --group-size {plan.simd_group}"
        )
    shapes = loop.mask_shapes()
    for name, mask in plan.keep.items():
        if name not in shapes:
            raise AlcsError(f"the plan has a layer that cannot be pruned here: '{name}'")
        if mask.shape != shapes[name]:
            raise AlcsError(
                f"the plan's mask of layer '{name}' is {list(mask.shape)}, not {list(shapes[name])}"
            )
    candidate = loop.measure(plan)
    note(candidate.check_plan())
    return plan


def _train(
    trained: Trainer,
    loop: BudgetLoop,
    first: PruningPlan,
    state: RunState,
    *,
    planned: bool = False,
) -> tuple[PruningPlan, Model]:
    """ADMM, the budget again with what it kept, fine-tuning; the plan and trained model.

    This is ALCS Algorithm 2. A plan that was given (`planned`) stays as it is: there is
    fine-tuning alone. What fine-tuning begins with is kept in `state`.
    """
    model = loop.workload.model
    initializers = {name: layer.weight for name, layer in loop.layers.items()}
    common = trained.common(loop.budget.text)

    def project(weights: Mapping[str, FloatArray]) -> Projection:
        plan = loop.project(weights)
        found: Projection = trained.train.Projection(loop.weight_masks(plan), plan.predicted_ms)
        return found

    plan, weights = first, None
    if trained.config.admm_epochs and not planned:
        result = trained.train.admm(
            model, initializers, project, trained.data, trained.config, **common
        )
        trained.remember(result.history)
        weights = result.weights
        trained.evaluate("ADMM", weights, model)
        layers = {name: weights[w] for name, w in initializers.items()}
        kept = result.keep
        plan = resumable(state, FINETUNE, loop, lambda: loop.meet(layers, loop.plan_of(kept)).plan)
    masks = loop.weight_masks(plan)
    result = trained.train.finetune(
        model,
        weights,
        masks,
        initializers,
        trained.data,
        trained.config,
        keep_vectors=loop.bias_masks(plan),
        **common,
    )
    trained.remember(result.history)
    trained.evaluate("fine-tuned", result.weights, model)
    return plan, model.with_initializers(result.weights)
