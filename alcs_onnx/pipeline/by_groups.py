"""`optimize --method simd`, and those of other structures: groups of weights are removed.

Every Conv becomes sparse. What a group is, is the scene's structure.
"""

from __future__ import annotations

from alcs_onnx.errors import AlcsError
from alcs_onnx.pipeline.budget import BudgetLoop
from alcs_onnx.pipeline.checks import numeric_check, written_form
from alcs_onnx.pipeline.layers import layer_reports
from alcs_onnx.pipeline.plan_file import SavedPlan
from alcs_onnx.pipeline.pruned import masked_model, sparse_model
from alcs_onnx.pipeline.resuming import FIRST, resumable
from alcs_onnx.pipeline.run import Outcome, Request, already_within
from alcs_onnx.pipeline.scene import Note, Scene
from alcs_onnx.types import LatencyTable, PruningPlan


def prune_groups(request: Request) -> Outcome:
    """Measure, solve and measure until the budget is met; train; rewrite.

    ALCS Algorithm 2, with measured latencies in place of estimates alone.

    Raises `BudgetError` when the budget cannot be reached, before anything is trained.
    """
    table = request.tables.of_layers(request.scene, request.stage())
    return prune_with_table(request, request.scene, table)


def prune_with_table(request: Request, scene: Scene, table: LatencyTable) -> Outcome:
    """The same with a latency table of `scene`, whose model may have lost channels before."""
    note, trained = request.note, request.trained
    loop = BudgetLoop(scene, table, request.budget, request.projection, note)
    unchanged = already_within(request, loop, table)
    if unchanged is not None:
        return unchanged
    given = request.plan.groups if request.plan is not None else None
    if given is not None:
        plan = _planned(loop, scene, given, note)
    else:
        plan = resumable(request.state, FIRST, loop, lambda: _chosen(loop))
    final = masked_model(scene.model, plan)
    if trained is not None:
        trained.evaluate("dense", None)
        trained.evaluate("one-shot", None, final)
    if trained is not None and request.trains:
        plan, final = trained.prune(loop, plan, request.state, planned=given is not None)
    rewritten = sparse_model(final, plan, loop.left_alone, scene.simd_group)
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
        mac_ratio=rewritten.mac_ratio * rewritten.dense_macs / scene.model.macs,
        layers=lambda times: layer_reports(
            scene.model, rewritten, reasons=plan.reasons, table=table, measured=times
        ),
        plan=SavedPlan(scene.structure, None, plan, {"projection": request.projection}),
        keeps_all=all(mask.all() for mask in plan.keep.values()),
        settings={
            "projection": request.projection,
            **({"simd_group": scene.simd_group} if scene.structure == "simd" else {}),
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


def _planned(loop: BudgetLoop, scene: Scene, plan: PruningPlan, note: Note) -> PruningPlan:
    """A plan from a file, measured. Channels may have gone and weights been repaired before."""
    if plan.structure != scene.structure:
        raise AlcsError(
            f"the plan keeps groups of structure '{plan.structure}', not '{scene.structure}'"
        )
    if scene.structure == "simd" and plan.simd_group != scene.simd_group:
        raise AlcsError(
            f"the plan is for groups of {plan.simd_group}, not {scene.simd_group}: "
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
