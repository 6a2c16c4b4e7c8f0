"""A method that was opened, and the plan that all else begins with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from alcs_onnx.fidelity import Fidelity
from alcs_onnx.pipeline.common.training import Network
from alcs_onnx.pipeline.optimize.closing import closed
from alcs_onnx.pipeline.optimize.method import Pruning, Rewritten
from alcs_onnx.pipeline.optimize.methods import METHODS, removes
from alcs_onnx.pipeline.optimize.outcome import tell_range
from alcs_onnx.pipeline.optimize.refitting import refits
from alcs_onnx.pipeline.optimize.run import Run
from alcs_onnx.pipeline.optimize.search import Choice, first_choice


@dataclass(frozen=True, eq=False)
class OneShot:
    """What a choice comes to with nothing trained: the file to be written, and what it lost."""

    network: Network
    rewritten: Rewritten
    fidelity: Fidelity


@dataclass(frozen=True, eq=False)
class Begun:
    """`choice` is None where the dense model is within the budget already.

    `reachable_ms` are the least and the greatest latency that the method reaches, by its estimate.
    `one_shot` is there where it was made to compare methods.
    """

    run: Run
    pruning: Pruning[Any]
    reachable_ms: tuple[float, float]
    choice: Choice[Any] | None
    one_shot: OneShot | None = None

    @property
    def method(self) -> str:
        """The method."""
        return self.run.request.way


def as_made(run: Run, choice: Choice[Any]) -> tuple[Choice[Any], Network]:
    """A choice as it is with nothing trained: refitted, where there are pictures for that."""
    choice, network = refitted(run, choice)
    if refits(run) and removes(run.request.way) and not choice.keeps_all:
        network = closed(run, network)
    return choice, network


def refitted(run: Run, choice: Choice[Any]) -> tuple[Choice[Any], Network]:
    """A choice with what is left refitted, where there are pictures: as its training begins."""
    plan, network = choice.pruning.refitted(run, choice.plan)
    return replace(choice, plan=plan), network


def open_method(run: Run) -> Pruning[Any]:
    """The method of `run`; raises as that does."""
    # The latency table: ALCS section III-C, SP-LAMP section 3.2.
    pruning: Pruning[Any] = METHODS[run.request.way](run)
    return pruning


def begin(run: Run, pruning: Pruning[Any]) -> Begun:
    """Meet the budget of `run` with its method, before anything is trained.

    Raises `BudgetError` when the budget cannot be reached.
    """
    reachable_ms = tell_range(run, pruning)
    if pruning.budget_ms >= pruning.dense.median:
        return Begun(run, pruning, reachable_ms, None)
    return Begun(run, pruning, reachable_ms, first_choice(run, pruning))  # Algorithm 2, line 1: U0
