"""`optimize --method hybrid`: channels first, then SIMD groups of what is left.

One budget serves both. How much of it the channels take is decided by what the weights keep:
for several splits both solvers are asked, and the split that leaves the most energy, each
layer's relative to its own, is taken. Channels cost more energy for the same latency, but take
along what groups of weights cannot reach: depthwise layers, pooling, loads and stores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np

from alcs_onnx.errors import AlcsError, BudgetError
from alcs_onnx.graph import Model, conv_layers, model_macs
from alcs_onnx.importance import scores
from alcs_onnx.latency import Estimator
from alcs_onnx.pipeline.common.workload import Workload
from alcs_onnx.pipeline.optimize.channel_loop import ChannelLoop
from alcs_onnx.pipeline.optimize.channels import channel_reports, open_loop, remove
from alcs_onnx.pipeline.optimize.groups import prune_with_table
from alcs_onnx.pipeline.optimize.measured import AIM
from alcs_onnx.pipeline.optimize.plan_file import SavedPlan
from alcs_onnx.pipeline.optimize.request import Outcome, Request
from alcs_onnx.rewrite import shrink
from alcs_onnx.solve import project, reachable_range
from alcs_onnx.types import ChannelPlan, LatencyTable, Timing

#: Latencies that the channels may be asked to leave, as shares of the dense one.
_SPLITS = tuple(share / 20 for share in range(19, 5, -1))


@dataclass(frozen=True)
class _Split:
    """A plan of channels, and the energy that is left once the groups are pruned, too."""

    share: float
    plan: ChannelPlan | None
    energy: float


def prune_both(request: Request) -> Outcome:
    """Split the budget, remove channels, then groups until the budget is met.

    Raises `BudgetError` when the budget cannot be reached, before anything is trained.
    """
    workload = request.workload
    if request.tables.given is not None:
        raise AlcsError("--method hybrid measures two tables of its own: leave out --profile")
    loop = open_loop(request)
    groups = None
    if request.plan is not None:
        keep = request.plan.channels
    else:
        groups = request.tables.of_layers(workload, request.stage())
        keep = _best_split(request, loop, groups).plan
    if keep is None:
        request.note("the budget goes to SIMD groups alone: that keeps the most")
        groups = groups or request.tables.of_layers(workload, request.stage())
        return _named(request, prune_with_table(request, workload, groups), None)
    smaller, _ = remove(request, loop.coupling, keep.keep)
    left = replace(workload, model=smaller)
    # The budget and the promise are about the file that was given.
    table = request.tables.of_layers(
        left,
        request.stage(),
        dense=lambda: Timing.from_samples(workload.time([workload.original])[0]),
    )
    outcome = prune_with_table(request, left, table)
    return replace(
        _named(request, outcome, keep),
        channels=channel_reports(loop, keep),
        channel_curves=loop.table.curves,
        mac_ratio=outcome.mac_ratio * model_macs(smaller) / model_macs(workload.model),
    )


def _named(request: Request, outcome: Outcome, keep: ChannelPlan | None) -> Outcome:
    """The outcome with the plan of both steps and what they were told."""
    if outcome.plan is None:
        return outcome
    settings = request.plan.settings if request.plan else asdict(request.channels)
    plan = SavedPlan("hybrid", keep, outcome.plan.groups, {**outcome.plan.settings, **settings})
    return replace(outcome, plan=plan, settings={**outcome.settings, **plan.settings})


def _best_split(request: Request, loop: ChannelLoop, table: LatencyTable) -> _Split:
    """The split that keeps the most energy; raises `BudgetError` where none fits."""
    dense = loop.table.dense.median
    found = [_try(request, loop, table, 1.0, None)]
    budget = request.budget.resolve(dense) / dense
    for share in _SPLITS:
        if share <= budget:
            break
        try:
            plan = loop.solve(share * dense)
        except BudgetError:
            break
        found.append(_try(request, loop, table, share, plan))
    fitting = [split for split in found if split is not None]
    if not fitting:
        low, high = loop.range_ms()
        raise BudgetError(
            f"the budget of {request.budget.text} cannot be reached by channels and groups "
            f"together: channels alone can take the model to {low:.4g} ms of {high:.4g} ms"
        )
    best = max(fitting, key=lambda split: split.energy)
    for split in fitting:
        request.note(
            f"channels to {100 * split.share:.0f} % of the dense latency, groups the rest: "
            f"{100 * split.energy:.1f} % of the energy kept"
            + (" (chosen)" if split is best else "")
        )
    return best


def _try(
    request: Request,
    loop: ChannelLoop,
    table: LatencyTable,
    share: float,
    plan: ChannelPlan | None,
) -> _Split | None:
    """One split by the estimate; None where the groups cannot reach the budget after it."""
    workload, model = request.workload, request.workload.model
    smaller = model if plan is None else shrink(model, loop.coupling, plan.keep)
    estimator = _restricted(table, smaller, workload)
    layers = {x.name: x for x in replace(workload, model=smaller).prunable}
    layers = {name: layer for name, layer in layers.items() if name in estimator.layers}
    weights = {
        name: np.asarray(smaller.initializers[layer.weight], np.float32)
        for name, layer in layers.items()
    }
    norms = scores(weights, layers, workload.grouping)
    sizes = {name: array.size for name, array in norms.items()}
    goal = AIM * request.budget.resolve(table.dense.median)
    low, high = reachable_range(estimator, sizes)
    if goal < low:
        return None
    keep = project(norms, estimator, min(goal, high), method="energy-normalised")
    full = {layer.name: model.initializers[layer.weight] for layer in workload.prunable}
    parts = [
        float(np.square(norms[name][keep[name]], dtype=np.float64).sum())
        / max(float(np.square(full[name], dtype=np.float64).sum()), 1e-30)
        for name in norms
    ]
    return _Split(share, plan, float(np.mean(parts)))


def _restricted(table: LatencyTable, smaller: Model, workload: Workload) -> Estimator:
    """The measured curves, as far as the layers that are left reach.

    A layer's time goes by its stored groups, wherever they are (ALCS section III-C), so the
    curve of the full layer serves a smaller one.
    """
    counts: Mapping[str, int] = {
        layer.name: int(np.prod(workload.grouping.mask_shape(layer)))
        for layer in conv_layers(smaller)
    }
    curves = []
    for curve in table.curves:
        last = min(counts.get(curve.layer, curve.groups[-1]), curve.groups[-1])
        below = [count for count in curve.groups if count < last]
        groups = (*below, last)
        times = tuple(float(t) for t in np.interp(groups, curve.groups, curve.times))
        curves.append(replace(curve, groups=groups, times=times))
    return Estimator.from_table(replace(table, curves=tuple(curves)))
