"""Plan, build, measure, correct: `solve.closed_loop` with a model and a target in hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Generic

from alcs_onnx.errors import BudgetError
from alcs_onnx.pipeline.optimize.checkpoint import FINETUNE, FIRST
from alcs_onnx.pipeline.optimize.measured import Measured, measure
from alcs_onnx.pipeline.optimize.method import Plan, Pruning
from alcs_onnx.pipeline.optimize.plan_file import Calibration, save_plan
from alcs_onnx.pipeline.optimize.run import Run
from alcs_onnx.solve.closed_loop import Attempt, LoopState, step
from alcs_onnx.types import FloatArray


@dataclass(frozen=True)
class Choice(Generic[Plan]):
    """A plan that was measured, how it was decided, and where later loops begin.

    The plan's `predicted_ms` is the estimate as the measurements have corrected it. A plan that
    was `given` stays as it is, whatever training does to the weights.
    """

    pruning: Pruning[Plan]
    plan: Plan
    loop: LoopState
    dense_ms: float
    given: bool = False

    @property
    def keeps_all(self) -> bool:
        """Whether nothing is removed."""
        return _keeps_all(self.plan)

    @property
    def predicted_fraction(self) -> float:
        """The estimate over the dense latency that it was made for."""
        return self.plan.predicted_ms / self.dense_ms


def first_choice(run: Run, pruning: Pruning[Plan]) -> Choice[Plan]:
    """The plan that all else begins with: given, of the run that is resumed, or the solver's.

    Raises `BudgetError` when it does not meet the budget, before anything is trained.
    """
    return (
        _given(run, pruning)
        or _resumed(run, FIRST, pruning)
        or _kept(run, FIRST, _chosen(run, pruning))
    )


def choose_again(
    run: Run, choice: Choice[Plan], first: Plan, weights: Mapping[str, FloatArray]
) -> Choice[Plan]:
    """The plan that fine-tuning begins with, after ADMM has moved the weights.

    `first` is what ADMM kept; it is measured, and the solver asked again until the budget is met.
    `weights` are by layer.
    """
    resumed = _resumed(run, FINETUNE, choice.pruning)
    if resumed is not None:
        return resumed
    found, _ = meet(run, choice.pruning, weights, start=choice.loop, first=first)
    return _kept(run, FINETUNE, found)


def start_over(run: Run, choice: Choice[Plan]) -> Choice[Plan]:
    """`choice`, which was made before ADMM, kept as the one that fine-tuning begins with."""
    return _kept(run, FINETUNE, choice)


def same_plan(choice: Choice[Plan], other: Choice[Plan]) -> bool:
    """Whether both keep the same."""
    return _fingerprint(choice.plan) == _fingerprint(other.plan)


def choose_less(run: Run, choice: Choice[Plan], measured: Measured) -> Choice[Plan] | None:
    """A plan in place of one that was accepted and measures above the budget after all.

    None where there is none that is smaller, or none that meets the budget.
    """
    if choice.given or choice.pruning.is_smallest(choice.plan):
        return None
    run.reporter.note(f"what was made measures {measured.told}: a smaller plan in its place")
    found, again = meet(run, choice.pruning, start=choice.loop.lowered(measured.fraction))
    if not again.met or same_plan(found, choice):
        return None
    return _kept(run, FIRST, found)


def save_choice(run: Run, choice: Choice[Plan]) -> None:
    """Write the plan where the run was asked to."""
    if run.request.save_plan_to is not None:
        saved = choice.pruning.saved(choice.plan)
        told = {} if run.given is None else run.given.settings
        plan = replace(saved, settings={**saved.settings, **told})
        save_plan(plan, run.request.save_plan_to)


def _chosen(run: Run, pruning: Pruning[Plan]) -> Choice[Plan]:
    """The solver's choice, measured to be within the budget; `BudgetError` where none is.

    Layers that measured slower in the sparse operator are left to the runtime where the whole
    gains by it; then the budget is met anew.
    """
    choice, measured = meet(run, pruning)
    _require_reachable(choice, measured)
    slower = pruning.slower(run, choice.plan)
    if slower:
        run.reporter.note("the budget again, with the groups of the other layers:")
        choice, measured = meet(run, pruning.excluding(slower), start=choice.loop)
        _require_reachable(choice, measured)
    measured.require_met()
    return choice


def _require_reachable(choice: Choice[Plan], measured: Measured) -> None:
    """Raise `BudgetError` where even the smallest plan measures above the budget."""
    if choice.loop.end == "unreachable" and not measured.met:
        obstacle = choice.pruning.obstacle
        why = f" by {choice.pruning.means}: with the least that is kept the model measures"
        if obstacle:
            why = f": {obstacle}; with nothing removed the model measures"
        raise BudgetError(
            f"the budget of {measured.budget_ms:.3f} ms cannot be reached{why} "
            f"{measured.sparse.median:.3f} ms, dense {measured.dense.median:.3f} ms"
        )


def _given(run: Run, pruning: Pruning[Plan]) -> Choice[Plan] | None:
    """The plan of a file, measured; `BudgetError` if it is clearly too slow."""
    plan = None if run.given is None else pruning.given(run.given)
    if plan is None:
        return None
    measured = _measured(run, pruning, plan)
    measured.require_tolerable()
    run.reporter.note(f"the plan measures {measured.told}")
    return Choice(pruning, plan, LoopState(), pruning.dense.median, given=True)


def _resumed(run: Run, stage: str, pruning: Pruning[Plan]) -> Choice[Plan] | None:
    """The choice that `stage` began with when it was interrupted; None where it had not begun."""
    saved = run.checkpoint.load(stage, pruning.workload.model)
    if saved is None:
        return None
    known = saved.calibration or Calibration(1.0, pruning.dense.median, {})
    loop = LoopState(target=known.target or 0.0, correction=known.correction)
    if known.target is None:
        # Older files leave the machine's drift out of the correction.
        relative = run.request.budget.relative
        drift = 1.0 if relative else known.dense_ms / pruning.dense.median
        loop = LoopState.corrected(known.correction * drift)
    found = pruning.excluding(known.left_alone)
    plan = found.given(saved)
    return None if plan is None else Choice(found, plan, loop, known.dense_ms)


def _kept(run: Run, stage: str, choice: Choice[Plan]) -> Choice[Plan]:
    """`choice`, kept for a run that may be interrupted after `stage` has begun."""
    pruning = choice.pruning
    loop = choice.loop
    known = Calibration(loop.correction, choice.dense_ms, dict(pruning.excluded), loop.target)
    run.checkpoint.save(stage, replace(pruning.checkpointed(choice.plan), calibration=known))
    return choice


def meet(
    run: Run,
    pruning: Pruning[Plan],
    weights: Mapping[str, FloatArray] | None = None,
    *,
    start: LoopState | None = None,
    first: Plan | None = None,
) -> tuple[Choice[Plan], Measured]:
    """A plan within the budget, or the closest that the attempts gave, and its measurement.

    `weights`, by layer, are those that are chosen among. `first` is tried before the solver is
    asked. Where no plan meets the budget the choice says so by its `loop`, and the measurement.
    """
    state = LoopState() if start is None else start.again()
    tried: dict[bytes, None] = {}
    measured: list[tuple[Plan, Measured]] = []
    while state.end is None:
        plan = first or pruning.plan(state.target, weights, finer=state.finer)
        first = None
        fingerprint = _fingerprint(plan)
        if fingerprint in tried and not state.repeats:
            state = step(state, None)
            continue
        tried[fingerprint] = None
        found = _measured(run, pruning, plan)
        measured.append((plan, found))
        attempt = Attempt(
            predicted=plan.predicted_ms / pruning.budget_ms,
            measured=found.fraction,
            smallest=pruning.is_smallest(plan),
            whole=_keeps_all(plan),
        )
        predicted = 100 * attempt.predicted * state.correction
        run.reporter.note(
            f"attempt {len(measured)}: predicted {predicted:.1f} %, measured {found.told}"
        )
        state = step(state, attempt)
    best, found = measured[state.best]
    if state.end == "exhausted" and not found.met:
        smallest = pruning.plan(0.0, weights)
        if _fingerprint(smallest) not in tried:  # what was asked for was never as little as that
            best, found = smallest, _measured(run, pruning, smallest)
            run.reporter.note(f"the smallest plan measures {found.told}")
    corrected = replace(best, predicted_ms=best.predicted_ms * state.correction)
    # A fraction of the dense latency is one of the table's, a latency one of this machine now.
    dense = pruning.dense if run.request.budget.relative else found.dense
    return Choice(pruning, corrected, state, dense.median), found


def _fingerprint(plan: Plan) -> bytes:
    """What tells plans apart."""
    return b"".join(mask.tobytes() for mask in plan.keep.values())


def _keeps_all(plan: Plan) -> bool:
    return all(mask.all() for mask in plan.keep.values())


def _measured(run: Run, pruning: Pruning[Plan], plan: Plan) -> Measured:
    """Build `plan` and time it beside the dense file."""
    return measure(pruning.workload, pruning.candidate(plan), run.request.budget)
