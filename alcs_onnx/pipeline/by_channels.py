"""`optimize --method channel`: channels are removed, and the result is plain ONNX."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np

from alcs_onnx import latency
from alcs_onnx.coupling import Coupling
from alcs_onnx.errors import AlcsError
from alcs_onnx.graph import Model
from alcs_onnx.pipeline.channels import (
    ChannelCandidate,
    ChannelLoop,
    channel_masks,
    contributions,
    coupling_of,
)
from alcs_onnx.pipeline.checks import numeric_check, written_form
from alcs_onnx.pipeline.plan_file import SavedPlan, load_plan, save_plan
from alcs_onnx.pipeline.results import ChannelReport, LayerReport, NumericCheck
from alcs_onnx.pipeline.run import Outcome, Request, already_within
from alcs_onnx.rewrite import masked, shrink
from alcs_onnx.types import BoolArray, ChannelPlan, ChannelTable


def prune_channels(request: Request) -> Outcome:
    """Measure, solve and measure until the budget is met; train what is left.

    Raises `BudgetError` when the budget cannot be reached, before anything is trained.
    """
    loop = open_loop(request)
    table, trained = loop.table, request.trained
    unchanged = already_within(request, loop, table)
    if unchanged is not None:
        return unchanged
    saved = request.plan or _interrupted(request)
    plan = _chosen(request, loop, saved).plan
    settings = asdict(request.channels) if saved is None else saved.settings
    if trained is not None:
        trained.evaluate("dense", None)
    smaller, check = remove(request, loop.coupling, plan.keep)
    if trained is not None:
        trained.evaluate("one-shot", None, smaller)
        if request.trains:
            path = _checkpoint_plan(request)
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                save_plan(SavedPlan("channel", plan, None, settings), path)
            smaller = trained.finetune(smaller, request.budget.text)
    written = written_form(smaller)
    if not numeric_check(written, smaller, request.seed).passed:
        raise AlcsError("the model to be written differs from the trained one; nothing was written")
    return Outcome(
        dense=table.dense,
        machine=table.machine,
        budget_ms=loop.budget_ms,
        reachable_ms=loop.range_ms(),
        predicted_ms=plan.predicted_ms,
        model=written,
        check=check,
        mac_ratio=smaller.macs / request.scene.model.macs,
        layers=lambda times: layer_rows(request.scene.model, smaller, times),
        channels=channel_reports(loop, plan),
        plan=SavedPlan("channel", plan, None, settings),
        keeps_all=all(mask.all() for mask in plan.keep.values()),
        settings=settings,
    )


def open_loop(request: Request) -> ChannelLoop:
    """Analyse the model and measure, or load, the contributions of its channel groups."""
    scene = request.scene
    coupling = coupling_of(scene.model)
    options = request.channels
    if options.score == "taylor" and request.trained is None:
        raise AlcsError("the score 'taylor' needs --data to take gradients from")
    if request.table is not None and request.method == "channel":
        machine = scene.target.machine(scene.measuring.threads)
        table = latency.load_channel_table(request.table, scene.model.digest, machine)
    else:
        table = contributions(scene, coupling, options.contributions, request.stage())
    _check_table(table, coupling)
    if table.predicted and table.error is not None:
        request.note(f"predicted savings are off by {100 * table.error:.0f} % where measured")
    gradients = None
    if options.score == "taylor" and request.trained is not None:
        gradients = request.trained.gradients()
    return ChannelLoop(scene, table, coupling, request.budget, options, request.note, gradients)


def _check_table(table: ChannelTable, coupling: Coupling) -> None:
    """Raise `AlcsError` for a saved table whose groups are not those of the model."""
    known = {curve.group: curve.channels for curve in table.curves}
    for group in coupling.prunable:
        if known.get(group.name) != group.channels:
            raise AlcsError(
                f"the channel latency table does not fit group '{group.name}' of "
                f"{group.channels} channels: measure it again with this version"
            )


def remove(
    request: Request, coupling: Coupling, keep: Mapping[str, BoolArray]
) -> tuple[Model, NumericCheck]:
    """The scene's model without the other channels, checked against its masked full form.

    With data the activations are brought back into range first, at full size.
    """
    model = request.scene.model
    if request.trained is not None:
        model = request.trained.repair(channel_masks(model, coupling, keep))
    smaller = shrink(model, coupling, keep)
    check = numeric_check(smaller, masked(model, coupling, keep), request.seed)
    if not check.passed:
        raise AlcsError(
            "the model without the removed channels differs from the masked one by "
            f"{check.with_library:.1e} (relative); nothing was trained or written"
        )
    return smaller, check


def _chosen(request: Request, loop: ChannelLoop, saved: SavedPlan | None) -> ChannelCandidate:
    """The plan of a file or the solver's choice, measured."""
    if saved is not None:
        if saved.channels is None:
            raise AlcsError("the plan removes no channels: it was made by another method")
        planned = loop.measure(saved.channels)
        request.note(planned.check_plan())
        return planned
    candidate = loop.meet()
    candidate.require_met()
    return candidate


def _checkpoint_plan(request: Request) -> Path | None:
    """Where the plan of a run with checkpoints is kept."""
    folder = request.trained.training.checkpoint if request.trained is not None else None
    return None if folder is None or not request.trains else folder / "plan.json"


def _interrupted(request: Request) -> SavedPlan | None:
    """The plan of the run that is to be resumed: a new one would measure differently."""
    path = _checkpoint_plan(request)
    resumes = request.trained is not None and request.trained.training.resume
    if path is None or not resumes or not path.exists():
        return None
    return load_plan(path, request.scene.model)


def channel_reports(loop: ChannelLoop, plan: ChannelPlan) -> tuple[ChannelReport, ...]:
    """A row for each channel group: what it keeps and what that saves when done alone."""
    saved = loop.estimator.saved
    rows = []
    for group in loop.coupling.groups:
        mask = plan.keep.get(group.name)
        kept = group.channels if mask is None else int(mask.sum())
        rows.append(
            ChannelReport(
                group=group.name,
                layers=tuple(dict.fromkeys(slot.node for slot in group.slots)),
                channels=group.channels,
                kept=kept,
                saved_ms=float(saved[group.name][kept]) if group.name in saved else None,
                reason=group.frozen or None,
            )
        )
    return tuple(rows)


def layer_rows(before: Model, after: Model, times: Mapping[str, float]) -> tuple[LayerReport, ...]:
    """A row for each convolution: the share of its weights that is left."""
    full = {layer.name: layer for layer in before.conv_layers}
    rows = []
    for layer in after.conv_layers:
        dense = full[layer.name]
        same = layer.weight_count == dense.weight_count
        rows.append(
            LayerReport(
                layer=layer.name,
                weight_shape=layer.weight_shape,
                output_shape=layer.output_shape,
                macs=layer.macs,
                op="Conv",
                simd_group=1,
                density=layer.weight_count / dense.weight_count,
                fused="",
                dense_ms=None,
                predicted_ms=None,
                measured_ms=_finite(times.get(layer.name)),
                reason="all channels kept" if same else None,
            )
        )
    return tuple(rows)


def _finite(value: float | None) -> float | None:
    return value if value is not None and np.isfinite(value) else None
