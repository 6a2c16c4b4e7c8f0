"""Whether a method is worth its measurements, where another reaches the budget already.

A plan that an estimate flatters is judged on a few pictures: where that loses clearly more than the
other method does, what the method itself would come to does, too.
"""

from __future__ import annotations

from typing import Any

from alcs_onnx.graph import Model, loadable
from alcs_onnx.pipeline.common.pruned import masked_model
from alcs_onnx.pipeline.common.tables import proportional_table
from alcs_onnx.pipeline.optimize.channels import ChannelPruning
from alcs_onnx.pipeline.optimize.groups import GroupPruning
from alcs_onnx.pipeline.optimize.method import Pruning
from alcs_onnx.pipeline.optimize.methods import GROUP_METHODS, removes, structure_of
from alcs_onnx.pipeline.optimize.refitting import refits
from alcs_onnx.pipeline.optimize.run import Run
from alcs_onnx.serialized import Serialized
from alcs_onnx.solve.closed_loop import TARGET_FRACTION

#: Estimated latency of a plan that loses less than the one which measures within the budget.
_GENEROUS = 1.1
#: Pictures that plans are judged by.
_JUDGED_BY = 64
#: By how much the sum over layers may overrate what is lost: refitted in order they lose less.
_FAR_MORE = 3.0
#: Losses (percent) that are told apart by so few of the pictures, and by int8 as it is first made.
APART = 5.0


def unopened_loss(run: Run) -> float:
    """What the method of `run` would lose (percent), before its table is measured.

    For methods that remove groups of weights, as if each layer's time fell with its density; 0 for
    others.
    """
    if run.request.way not in GROUP_METHODS or refits(run):
        return 0.0
    table = proportional_table(run.workload)
    groups = GroupPruning.by_table(run, run.workload, table)
    if TARGET_FRACTION * groups.budget_ms < groups.range_ms()[0]:
        return 100.0
    return _loss(run, loadable(masked_model(run.workload.model, groups.plan(TARGET_FRACTION))))


def parts_more(run: Run, model: Model) -> bool:
    """Whether groups that are refitted would lose clearly more than `model` does.

    Both by how far outputs part on a few pictures, before a table is measured: of the groups what
    layers add up to, as if each layer's time fell with its density.
    """
    if run.request.way not in GROUP_METHODS or not refits(run) or run.request.refit != "loss":
        return False
    table = proportional_table(run.workload)
    groups = GroupPruning.by_table(run, run.workload, table).refitting_for(run)
    if groups.refitting is None:
        return False
    if TARGET_FRACTION * groups.budget_ms < groups.range_ms()[0]:
        return True
    cost = groups.refitting.cost(groups.plan(TARGET_FRACTION).keep)
    judge = run.evidence.judge.few(_JUDGED_BY)
    return cost > _FAR_MORE * judge.divergence(loadable(model))


def opened_loss(run: Run, pruning: Pruning[Any]) -> float:
    """What a method that removes something would lose (percent), by its own estimates.

    0 for weights that are refitted, which a plan does not show.
    """
    refitted = refits(run) and structure_of(run.request.way) is not None
    if refitted or not removes(run.request.way):
        return 0.0
    plan = pruning.plan(_GENEROUS)
    if isinstance(pruning, ChannelPruning):
        return _loss(run, pruning.sketch(run, plan, _JUDGED_BY))
    return _loss(run, pruning.candidate(plan))


def _loss(run: Run, candidate: Serialized) -> float:
    return run.evidence.judge.few(_JUDGED_BY).judge(candidate).loss
