"""The closed loop of a budget: what to ask the solver for next, from what was measured.

An estimate is off by a few percent, and machines drift between a profile and a run. What is
promised is the measured latency. So a solver is asked for a plan whose *estimate* is a target;
the plan is built and measured, and the ratio of measured to estimated latency corrects the next
target: the measured form of the constraint of ALCS eq. 1.

Everything here is a fraction of the budget, so that the loop knows neither milliseconds nor
machines, nor what it is that is removed. It is one pure step, `step(state, attempt)`; building
and measuring are the caller's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf, sqrt
from typing import Literal

#: The promise: the acceptance band of a written model's measured latency.
LOWEST, HIGHEST = 0.95, 1.0
#: What a candidate aims at, and the band that ends the loop: clear of the promise's edges, because
#: a later measurement of the same model differs by a percent or so.
TARGET_FRACTION = 0.975
ACCEPTANCE_BAND = (0.96, 0.99)
#: Models that are measured before the best of them is taken.
MAX_ATTEMPTS = 8
#: Finer plans that are measured before they are given up, where none was better: a runtime that
#: computes in vectors of channels may take longer for a part of one than for the whole.
FINER_ATTEMPTS = 2
#: What the smallest plan may measure above the budget by noise alone: it is measured again then.
OUT_OF_REACH = 1.02
#: How far a target moves beyond one that was measured on the wrong side of the band, where the
#: correction alone would not move it.
_NUDGE = 1.03

#: Why a loop ended: a candidate is in the band; the budget is met with everything kept; no plan
#: is smaller and it measures above the budget; or nothing is left to try.
End = Literal["accepted", "whole", "unreachable", "exhausted"]


@dataclass(frozen=True)
class Attempt:
    """One plan that was built and measured. Latencies are fractions of the budget.

    `predicted` is the estimate of the plan, without any correction. `smallest` says that no plan
    has a lower estimate, and `whole` that nothing is removed.
    """

    predicted: float
    measured: float
    smallest: bool = False
    whole: bool = False

    @property
    def met(self) -> bool:
        """Whether the measured latency is within the budget."""
        return self.measured <= HIGHEST

    @property
    def distance(self) -> float:
        """How far it is from what was aimed at; missing the budget counts more."""
        return abs(self.measured - TARGET_FRACTION) + (0.0 if self.met else 1.0)


@dataclass(frozen=True)
class LoopState:
    """What is asked for next, and what the measurements have taught.

    target: estimated latency that the solver is to stay within, a fraction of the budget.
    correction: measured over estimated latency.
    finer_from: the number of attempts before plans were allowed to lie between those whose latency
        was measured in the table; None while they are not.
    below, above: the highest target that measured too fast, the lowest that measured too slow.
    attempts: what was measured, in order.
    end: why the loop ended; None while it goes on.
    """

    target: float = TARGET_FRACTION
    correction: float = 1.0
    finer_from: int | None = None
    below: float = 0.0
    above: float = inf
    attempts: tuple[Attempt, ...] = ()
    end: End | None = None

    @property
    def finer(self) -> bool:
        """Whether plans may lie between those whose latency was measured in the table."""
        return self.finer_from is not None

    @property
    def best(self) -> int:
        """The number of the attempt nearest to what was aimed at; the first of equals."""
        return min(range(len(self.attempts)), key=lambda i: self.attempts[i].distance)

    @property
    def repeats(self) -> bool:
        """Whether the plan that was measured last is to be measured again.

        It is the smallest, so there is no other to ask for, and only noise may have kept it above
        the budget.
        """
        last = self.attempts[-1] if self.attempts else None
        return last is not None and last.smallest and HIGHEST < last.measured < OUT_OF_REACH

    def again(self) -> LoopState:
        """A loop that begins where this one ended, with what it has learnt and nothing measured."""
        return LoopState(target=self.target, correction=self.correction)

    def lowered(self, measured: float) -> LoopState:
        """The same for a plan that was accepted and measures this fraction of the budget later."""
        above = measured / TARGET_FRACTION
        return LoopState(target=self.target / above, correction=self.correction * above)

    @classmethod
    def corrected(cls, correction: float) -> LoopState:
        """A loop that begins with what another one has learnt."""
        return cls(target=TARGET_FRACTION / correction, correction=correction)


def step(state: LoopState, attempt: Attempt | None) -> LoopState:
    """The state after `attempt`, which was made for `state.target`.

    None stands for a plan that was measured before: the solver has no other for this target.
    Then finer plans are asked for, and where those were asked for already the loop ends. So it does
    when the first few of them are no better than what was there.
    """
    if attempt is None and state.finer:
        return replace(state, end="exhausted")
    if attempt is None:
        return replace(state, finer_from=len(state.attempts))
    state = replace(state, attempts=(*state.attempts, attempt))
    low, high = ACCEPTANCE_BAND
    if low <= attempt.measured <= high:
        return replace(state, end="accepted")
    if attempt.met and attempt.whole:
        return replace(state, end="whole")
    if attempt.smallest and attempt.measured >= OUT_OF_REACH:
        return replace(state, end="unreachable")
    state = _learnt(state, attempt)
    finer = 0 if state.finer_from is None else len(state.attempts) - state.finer_from
    useless = finer >= FINER_ATTEMPTS and state.best < (state.finer_from or 0)
    done = useless or len(state.attempts) >= MAX_ATTEMPTS
    return replace(state, end="exhausted") if done else state


def _learnt(state: LoopState, attempt: Attempt) -> LoopState:
    """The next target: by the correction, and between those that measured too fast and too slow.

    The correction follows a measurement at once in the first attempts, later half way (the
    geometric mean), when what is left is mostly noise.
    """
    found = attempt.measured / attempt.predicted
    correction = found if len(state.attempts) <= 2 else sqrt(state.correction * found)
    below, above = state.below, state.above
    if attempt.measured > ACCEPTANCE_BAND[1]:
        above = min(above, state.target)
    else:
        below = max(below, state.target)
    target = TARGET_FRACTION / correction
    if not below < target < above:
        if above == inf:
            target = below * _NUDGE
        elif below <= 0:
            target = above / _NUDGE
        else:
            target = sqrt(below * above)
    return replace(state, target=target, correction=correction, below=below, above=above)
