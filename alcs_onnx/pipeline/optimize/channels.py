"""`optimize --method channel`: channels are removed, and the result is plain ONNX."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

import numpy as np

from alcs_onnx.coupling import Coupling
from alcs_onnx.errors import AlcsError
from alcs_onnx.graph import Model, conv_layers, model_macs
from alcs_onnx.pipeline.common.results import ChannelReport, LayerReport, NumericCheck
from alcs_onnx.pipeline.common.tables import coupling_of
from alcs_onnx.pipeline.common.verification import numeric_check, written_form
from alcs_onnx.pipeline.optimize.channel_loop import (
    ChannelLoop,
    channel_masks,
)
from alcs_onnx.pipeline.optimize.checkpoint import FIRST
from alcs_onnx.pipeline.optimize.plan_file import SavedPlan
from alcs_onnx.pipeline.optimize.request import Outcome, Request, already_within
from alcs_onnx.rewrite import masked, shrink
from alcs_onnx.types import BoolArray, ChannelPlan


def prune_channels(request: Request) -> Outcome:
    """Measure, solve and measure until the budget is met; train what is left.

    Raises `BudgetError` when the budget cannot be reached, before anything is trained.
    """
    loop = open_loop(request)
    table, trained = loop.table, request.trained
    unchanged = already_within(request, loop, table)
    if unchanged is not None:
        return unchanged
    resumed = request.state.load(FIRST, request.workload.model) if request.plan is None else None
    saved = request.plan or resumed
    # A plan that training began with has been measured; another measurement changes nothing.
    plan = _chosen(request, loop) if resumed is None else _channels_of(resumed)
    settings = asdict(request.channels) if saved is None else saved.settings
    if trained is not None:
        trained.evaluate("dense", None)
    smaller, check = remove(request, loop.coupling, plan.keep)
    if trained is not None:
        trained.evaluate("one-shot", None, smaller)
        if request.trains:
            if resumed is None:
                request.state.save(FIRST, SavedPlan("channel", plan, None, settings))
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
        predicted_share=plan.predicted_ms / loop.dense_ms,
        model=written,
        check=check,
        mac_ratio=model_macs(smaller) / model_macs(request.workload.model),
        layers=lambda times: layer_rows(request.workload.model, smaller, times),
        channels=channel_reports(loop, plan),
        plan=SavedPlan("channel", plan, None, settings),
        keeps_all=all(mask.all() for mask in plan.keep.values()),
        settings=settings,
        channel_curves=table.curves,
    )


def open_loop(request: Request) -> ChannelLoop:
    """Analyse the model and measure, or load, the contributions of its channel groups."""
    workload = request.workload
    coupling = coupling_of(workload.model)
    options = request.channels
    if options.score == "taylor" and request.trained is None:
        raise AlcsError("the score 'taylor' needs --data to take gradients from")
    table = request.tables.of_channels(workload, coupling, options.contributions, request.stage())
    if table.predicted and table.error is not None:
        request.note(f"predicted savings are off by {100 * table.error:.0f} % where measured")
    gradients = None
    if options.score == "taylor" and request.trained is not None:
        gradients = request.trained.gradients()
    return ChannelLoop(workload, table, coupling, request.budget, options, request.note, gradients)


def remove(
    request: Request, coupling: Coupling, keep: Mapping[str, BoolArray]
) -> tuple[Model, NumericCheck]:
    """The workload's model without the other channels, checked against its masked full form.

    With data the activations are brought back into range first, at full size.
    """
    model = request.workload.model
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


def _chosen(request: Request, loop: ChannelLoop) -> ChannelPlan:
    """The plan that was given or the solver's choice, measured."""
    if request.plan is not None:
        planned = loop.measure(_channels_of(request.plan))
        request.note(planned.check_plan())
        return planned.plan
    candidate = loop.meet()
    candidate.require_met()
    return candidate.plan


def _channels_of(plan: SavedPlan) -> ChannelPlan:
    if plan.channels is None:
        raise AlcsError("the plan removes no channels: it was made by another method")
    return plan.channels


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
    full = {layer.name: layer for layer in conv_layers(before)}
    rows = []
    for layer in conv_layers(after):
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
