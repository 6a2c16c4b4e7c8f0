"""`--method auto`: several ways to the same budget, and the one that loses least."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from alcs_onnx.errors import AlcsError, BudgetError, DataError
from alcs_onnx.fidelity import Fidelity
from alcs_onnx.graph import loadable
from alcs_onnx.pipeline.optimize.begun import Begun, OneShot, as_made, begin, open_method
from alcs_onnx.pipeline.optimize.checkpoint import FIRST
from alcs_onnx.pipeline.optimize.measured import Measured, measure
from alcs_onnx.pipeline.optimize.method import Pruning
from alcs_onnx.pipeline.optimize.methods import (
    CANDIDATES,
    GOOD_ENOUGH,
    has_precision,
    part_of,
    removes,
)
from alcs_onnx.pipeline.optimize.result import TriedMethod
from alcs_onnx.pipeline.optimize.run import Run, run_of_method
from alcs_onnx.pipeline.optimize.worth import APART, opened_loss, parts_more, unopened_loss
from alcs_onnx.serialized import Serialized

#: Of the dense latency: what a method leaves has to be less for others to go on from it first.
_CLEARLY_LOWER = 0.9


@dataclass(frozen=True, eq=False)
class Made:
    """What one method made: measured and judged, with nothing trained."""

    begun: Begun
    measured: Measured
    fidelity: Fidelity
    bytes: int

    @property
    def method(self) -> str:
        """The method."""
        return self.begun.method

    def row(self, *, chosen: bool) -> TriedMethod:
        """What the table says of it."""
        if not self.measured.met:
            outcome, why = "missed", f"measured {self.measured.told}"
        else:
            outcome, why = ("chosen", "") if chosen else ("met", "loses more")
        return TriedMethod(
            self.method,
            outcome,  # type: ignore[arg-type]
            why,
            self.measured.sparse.median,
            self.measured.fraction,
            self.fidelity,
            self.bytes,
        )


@dataclass(frozen=True, eq=False)
class Compared:
    """What came of the candidates.

    tried: a row for each that was not made, or why it was not.
    best: of those that were made within the budget the one that loses least; None without any.
    made: all that were made, within the budget or not.
    trains: the one that is to be trained, as it is before.
    unchanged: the first method where the dense model is within the budget already.
    """

    tried: tuple[TriedMethod, ...] = ()
    best: Made | None = None
    made: tuple[Made, ...] = ()
    trains: Begun | None = None
    unchanged: Begun | None = None

    def rows(self, *more: TriedMethod, chosen: str) -> tuple[TriedMethod, ...]:
        """A row for each candidate, with those of `more`; the `chosen` method is written."""
        made = [x.row(chosen=x.method == chosen) for x in self.made]
        return tuple(sorted((*self.tried, *made, *more), key=lambda x: CANDIDATES.index(x.method)))


def compare_methods(run: Run) -> Compared:
    """Plan the candidates in turn, and build, measure and judge each with nothing trained.

    Where int8 lowers the latency, but not enough, those that remove something from it come next.
    One whose loss is higher by an estimate that flatters it than what there is already is not
    (`worth`), and none after one that loses next to nothing or when the time of `search_minutes` is
    over. Where what is left is trained, what is removed without training says nothing: the first
    method that removes something and reaches the budget is only planned then, and is the one to be
    trained. Raises `BudgetError` where none reaches the budget, `DataError` for pictures that the
    model does not run on, and what is wrong with the first where none could be tried.
    """
    made: list[Made] = []
    rows: dict[str, TriedMethod] = {}
    errors: list[AlcsError] = []
    trains: Begun | None = None
    ends = time.monotonic() + 60 * run.request.search_minutes
    opened: dict[str, Pruning[Any]] = dict(run.opened)
    names = left = _in_turn(run)
    if run.trainer is not None and not run.trains:
        run.reporter.note("nothing is trained in a dry run: methods are compared as they are")
    while left:
        name, *left = _quicker_first(run, left, opened)
        own = run_of_method(run, name, opened)
        try:
            if why := _not_worth_it(own, made, trains, ends):
                rows[name] = TriedMethod(name, "not tried", why)
                continue
            run.reporter.note(f"method {name}:")
            opened[name] = open_method(own)
            if why := _opened_not_worth_it(own, opened[name], made):
                rows[name] = TriedMethod(name, "not tried", why)
                continue
            begun = begin(own, opened[name])
            if begun.choice is None:
                return Compared(unchanged=begun)
            if own.trains and removes(name):
                trains = begun
                continue
            made.append(_make(begun))
        except DataError:
            raise
        except AlcsError as error:
            errors.append(error)
            outcome = "unreachable" if isinstance(error, BudgetError) else "not tried"
            rows[name] = TriedMethod(name, outcome, str(error))  # type: ignore[arg-type]
            run.reporter.note(f"{name}: {error}")
            continue
        run.reporter.note(f"{name}: {made[-1].fidelity.message}")
    within = [x for x in made if x.measured.met]
    best = min(within, key=lambda x: (x.fidelity.loss, x.measured.fraction), default=None)
    if best is None and trains is None:
        if errors and not made and not any(isinstance(x, BudgetError) for x in errors):
            raise errors[0]
        rows |= {x.method: x.row(chosen=False) for x in made}
        told = "; ".join(f"{name}: {rows[name].why}" for name in names)
        raise BudgetError(f"no method reaches the budget of {run.request.budget.text} ({told})")
    return Compared(tuple(rows.values()), best, tuple(made), trains)


def _in_turn(run: Run) -> Sequence[str]:
    """The candidates; of those that are trained first one whose training was interrupted."""
    names = [x for x in CANDIDATES if has_precision(x, run.request.precision)]
    if not run.trains:
        return names

    def later(name: str) -> tuple[bool, bool]:
        return removes(name), not run_of_method(run, name, {}).checkpoint.begun(FIRST)

    return sorted(names, key=later)


def _quicker_first(
    run: Run, names: Sequence[str], opened: Mapping[str, Pruning[Any]]
) -> Sequence[str]:
    """Those first that go on from one which lowers the latency: they have less to remove."""

    def goes_on(name: str) -> bool:
        part = opened.get(part_of(name))
        return part is not None and part.range_ms()[0] < _CLEARLY_LOWER * part.dense.median

    return names if run.trains else sorted(names, key=lambda name: not goes_on(name))


def _make(begun: Begun) -> Made:
    run, choice = begun.run, begun.choice
    assert choice is not None
    choice, network = as_made(run, choice)
    rewritten = choice.pruning.rewrite(run, network, choice.plan)
    if not rewritten.check.passed:
        raise AlcsError(f"the written file would differ by {rewritten.check.difference}")
    written = loadable(rewritten.model)
    fidelity = run.evidence.judge.judge(written)
    begun = replace(begun, choice=choice, one_shot=OneShot(network, rewritten, fidelity))
    measured = measure(run.workload, written, run.request.budget)
    return Made(begun, measured, fidelity, _size(written))


def _size(model: Serialized) -> int:
    return len(model) if isinstance(model, bytes) else model.path.stat().st_size


def _not_worth_it(run: Run, made: Sequence[Made], trains: Begun | None, ends: float) -> str:
    """Why the method of `run` is not tried beside those that were `made`; else empty.

    `trains` is the method that is to be trained, if there is one already.
    """
    method = run.request.way
    if trains is not None:
        return f"{trains.method} reaches the budget, and is trained"
    if run.evidence.judge.random and not removes(method):
        return "the data has no test samples to judge it by: give --calibration PICTURES"
    within = [x for x in made if x.measured.met]
    if not within:
        return ""
    best = min(x.fidelity.loss for x in within)
    if best <= GOOD_ENOUGH:
        return f"another method loses only {max(best, 0.0):.2g} %"
    part = part_of(method)
    if part in {x.method for x in within}:
        return f"{part} alone reaches the budget"
    if run.trains and removes(method):
        return ""
    if time.monotonic() > ends:
        return f"the {run.request.search_minutes:g} minutes of --search-minutes are over"
    least = min(within, key=lambda x: x.fidelity.loss)
    if least.begun.one_shot and parts_more(run, least.begun.one_shot.rewritten.model):
        return f"its outputs would part far more than those of {least.method}, by an estimate"
    return _loses_more(unopened_loss(run), made)


def _opened_not_worth_it(run: Run, pruning: Pruning[Any], made: Sequence[Made]) -> str:
    """Why a method that was opened is not measured; else empty."""
    if run.trains or not any(x.measured.met for x in made):
        return ""
    return _loses_more(opened_loss(run, pruning), made)


def _loses_more(least: float, made: Sequence[Made]) -> str:
    """Why a method is not measured that loses `least` percent by an estimate; else empty."""
    best = min((x.fidelity.loss for x in made if x.measured.met), default=least)
    return f"loses about {least:.0f} %, by an estimate" if least > best + APART else ""
