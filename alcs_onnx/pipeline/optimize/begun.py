"""A method that was opened, and the plan that all else begins with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from alcs_onnx.pipeline.optimize.method import Pruning
from alcs_onnx.pipeline.optimize.methods import METHODS
from alcs_onnx.pipeline.optimize.outcome import tell_range
from alcs_onnx.pipeline.optimize.run import Run
from alcs_onnx.pipeline.optimize.search import Choice, first_choice


@dataclass(frozen=True, eq=False)
class Begun:
    """`choice` is None where the dense model is within the budget already.

    `reachable_ms` are the least and the greatest latency that the method reaches, by its estimate.
    """

    run: Run
    pruning: Pruning[Any]
    reachable_ms: tuple[float, float]
    choice: Choice[Any] | None


def begin(run: Run) -> Begun:
    """Open the method of `run` and meet the budget with it, before anything is trained.

    Raises `BudgetError` when the budget cannot be reached.
    """
    # The latency table: ALCS section III-C, SP-LAMP section 3.2.
    pruning: Pruning[Any] = METHODS[run.request.way](run)
    reachable_ms = tell_range(run, pruning)
    if pruning.budget_ms >= pruning.dense.median:
        return Begun(run, pruning, reachable_ms, None)
    return Begun(run, pruning, reachable_ms, first_choice(run, pruning))  # Algorithm 2, line 1: U0
