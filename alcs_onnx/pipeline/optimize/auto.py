"""`--method auto`: several ways to the same budget, and the one that loses least."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from alcs_onnx.errors import AlcsError, BudgetError
from alcs_onnx.fidelity import Fidelity
from alcs_onnx.graph import loadable
from alcs_onnx.pipeline.optimize.begun import Begun, OneShot, begin, open_method
from alcs_onnx.pipeline.optimize.measured import Measured, measure
from alcs_onnx.pipeline.optimize.method import Pruning
from alcs_onnx.pipeline.optimize.methods import CANDIDATES, has_precision, part_of
from alcs_onnx.pipeline.optimize.result import TriedMethod
from alcs_onnx.pipeline.optimize.run import Run, run_of_method
from alcs_onnx.pipeline.optimize.worth import opened_loss, unopened_loss
from alcs_onnx.serialized import Serialized

#: A loss (percent) that no other method is tried to better.
GOOD_ENOUGH = 1.0


@dataclass(frozen=True, eq=False)
class _Made:
    """What one method made: within the budget, with nothing trained."""

    begun: Begun
    measured: Measured
    fidelity: Fidelity
    bytes: int

    def row(self, *, chosen: bool) -> TriedMethod:
        """What the table says of it."""
        method = self.begun.run.request.way
        if not self.measured.met:
            outcome, why = "missed", f"measured {self.measured.told}"
        else:
            outcome, why = ("chosen", "") if chosen else ("met", "loses more")
        return TriedMethod(
            method,
            outcome,  # type: ignore[arg-type]
            why,
            self.measured.sparse.median,
            self.measured.fraction,
            self.fidelity,
            self.bytes,
        )


def best_method(run: Run) -> tuple[Begun, tuple[TriedMethod, ...]]:
    """The method that loses least within the budget, and a row for each of the candidates.

    Each is planned, built, measured and judged, with nothing trained. One whose loss is higher by
    an estimate that flatters it than what there is already is not (`worth`), and none after one
    that loses next to nothing or when the time of `search_minutes` is over. Raises `BudgetError`
    where none reaches the budget.
    """
    made: list[_Made] = []
    rows: dict[str, TriedMethod] = {}
    ends = time.monotonic() + 60 * run.request.search_minutes
    names = [x for x in CANDIDATES if has_precision(x, run.request.precision)]
    opened: dict[str, Pruning[Any]] = {}
    for name in names:
        best = min((x.fidelity.loss for x in made if x.measured.met), default=None)
        own = run_of_method(run, name, opened)
        reached = {x.begun.run.request.way for x in made if x.measured.met}
        why = "" if best is None else _not_worth_it(own, best, reached, ends)
        if why:
            rows[name] = TriedMethod(name, "not tried", why)
            continue
        run.reporter.note(f"method {name}:")
        try:
            opened[name] = open_method(own)
            if best is not None and (why := _loses_more(opened_loss(own, opened[name]), best)):
                rows[name] = TriedMethod(name, "not tried", why)
                continue
            begun = begin(own, opened[name])
            if begun.choice is None:
                return begun, ()
            made.append(_make(begun))
        except AlcsError as error:
            outcome = "unreachable" if isinstance(error, BudgetError) else "not tried"
            rows[name] = TriedMethod(name, outcome, str(error))  # type: ignore[arg-type]
            run.reporter.note(f"{name}: {error}")
            continue
        run.reporter.note(f"{name}: {made[-1].fidelity.message}")
    within = [x for x in made if x.measured.met]
    chosen = min(within, key=lambda x: (x.fidelity.loss, x.measured.fraction), default=None)
    rows |= {x.begun.run.request.way: x.row(chosen=x is chosen) for x in made}
    if chosen is None:
        told = "; ".join(f"{name}: {rows[name].why}" for name in names)
        raise BudgetError(f"no method reaches the budget of {run.request.budget.text} ({told})")
    return chosen.begun, tuple(rows[name] for name in names)


def _make(begun: Begun) -> _Made:
    run, choice = begun.run, begun.choice
    assert choice is not None
    network = choice.pruning.pruned(run, choice.plan)
    rewritten = choice.pruning.rewrite(run, network, choice.plan)
    if not rewritten.check.passed:
        raise AlcsError(f"the written file would differ by {rewritten.check.difference}")
    written = loadable(rewritten.model)
    fidelity = run.evidence.judge.judge(written)
    begun = replace(begun, one_shot=OneShot(network, rewritten, fidelity))
    measured = measure(run.workload, written, run.request.budget)
    return _Made(begun, measured, fidelity, _size(written))


def _size(model: Serialized) -> int:
    return len(model) if isinstance(model, bytes) else model.path.stat().st_size


def _not_worth_it(run: Run, best: float, reached: Collection[str], ends: float) -> str:
    """Why the method of `run` is not opened where others `reached` the budget; else empty.

    The one of these that loses least loses `best` percent.
    """
    if best <= GOOD_ENOUGH:
        return f"another method loses only {max(best, 0.0):.2g} %"
    if time.monotonic() > ends:
        return f"the {run.request.search_minutes:g} minutes of --search-minutes are over"
    part = part_of(run.request.way)
    if part in reached:
        return f"{part} alone reaches the budget"
    return _loses_more(unopened_loss(run), best)


def _loses_more(least: float, best: float) -> str:
    """Why a method is not measured that loses `least` percent by an estimate; else empty."""
    return f"loses {least:.0f} % at the least, by an estimate" if least > best else ""
