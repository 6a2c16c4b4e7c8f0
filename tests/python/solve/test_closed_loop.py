"""The closed loop of a budget: one pure step, on machines that are made up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from alcs_onnx.solve.closed_loop import (
    ACCEPTANCE_BAND,
    MAX_ATTEMPTS,
    TARGET_FRACTION,
    Attempt,
    LoopState,
    step,
)


def closed(measure: Callable[[float], float], state: LoopState | None = None) -> LoopState:
    """The loop around a solver that hits every target, and a machine that measures so."""
    state = state or LoopState()
    while state.end is None:
        state = step(state, Attempt(state.target, measure(state.target)))
    return state


def test_the_first_target_is_the_middle_of_the_band_and_an_exact_estimate_needs_no_other():
    state = closed(lambda target: target)
    assert [attempt.predicted for attempt in state.attempts] == [TARGET_FRACTION]
    assert state.end == "accepted"
    assert state.best == 0


@pytest.mark.parametrize("bias", [0.6, 0.8, 0.95, 1.05, 1.3, 1.8])
def test_a_biased_estimate_is_corrected_by_the_first_measurement(bias):
    state = closed(lambda target: bias * target)
    assert state.end == "accepted"
    assert len(state.attempts) <= 2
    assert state.correction == pytest.approx(1.0 if len(state.attempts) == 1 else bias)


@pytest.mark.parametrize("bias", [0.7, 1.0, 1.4])
@pytest.mark.parametrize("bend", [-0.2, 0.3])
def test_noise_of_a_percent_does_not_keep_it_from_the_band(bias, bend):
    """The estimate is off by a factor that depends on the target, and every measurement by 1 %."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        state = closed(lambda t: bias * t * (1 + bend * (t - 1)) * (1 + float(rng.normal(0, 0.01))))
        assert state.end == "accepted"
        assert ACCEPTANCE_BAND[0] <= state.attempts[state.best].measured <= ACCEPTANCE_BAND[1]


def test_targets_stay_between_those_that_measured_too_fast_and_too_slow():
    """A machine with a step: no target is in the band, and the nearest within the budget wins."""
    state = closed(lambda target: 0.8 if target < 0.9 else 1.2)
    assert state.end == "exhausted"
    assert len(state.attempts) == MAX_ATTEMPTS
    assert state.attempts[state.best].measured == 0.8
    assert 0 < state.below < 0.9 <= state.above
    asked = [attempt.predicted for attempt in state.attempts]
    assert max(np.abs(np.diff(asked[-3:]))) < 0.15


def test_a_plan_that_comes_again_is_asked_for_finer_and_then_ends_the_loop():
    state = step(LoopState(), Attempt(0.9, 0.9))
    assert not state.finer
    finer = step(state, None)
    assert finer == replace(state, finer_from=1)
    assert finer.finer
    assert step(finer, None).end == "exhausted"
    assert step(finer, None).attempts == state.attempts


def test_finer_plans_are_given_up_where_they_are_no_better():
    coarse = step(step(LoopState(), Attempt(0.9, 0.9)), None)
    once = step(coarse, Attempt(1.0, 1.3))
    assert once.end is None
    assert step(once, Attempt(0.95, 1.25)).end == "exhausted"
    better = step(once, Attempt(0.95, 0.93))
    assert better.end is None
    assert better.best == 2


def test_the_ends_where_nothing_is_left_to_ask_for():
    assert step(LoopState(), Attempt(0.5, 0.5, whole=True)).end == "whole"
    assert step(LoopState(), Attempt(1.4, 1.2, smallest=True)).end == "unreachable"
    # Noise alone may have kept it above the budget: it is measured again, as often as any.
    state = step(LoopState(), Attempt(1.4, 1.003, smallest=True))
    assert state.end is None
    assert state.repeats
    while state.end is None:
        assert state.repeats
        state = step(state, Attempt(1.4, 1.003, smallest=True))
    assert state.end == "exhausted"
    assert len(state.attempts) == MAX_ATTEMPTS
    assert not LoopState().repeats
    # The smallest plan that measures below the budget leaves room for larger ones.
    state = step(LoopState(), Attempt(1.4, 0.7, smallest=True))
    assert state.end is None
    assert state.target == pytest.approx(TARGET_FRACTION * 1.4 / 0.7)


def test_missing_the_budget_counts_more_than_any_distance():
    state = LoopState(attempts=(Attempt(1.0, 1.01), Attempt(0.5, 0.4), Attempt(0.6, 0.3)))
    assert state.best == 1


def test_a_loop_that_begins_again_keeps_what_was_learnt():
    state = closed(lambda target: 1.3 * target)
    again = state.again()
    assert again.attempts == ()
    assert again.end is None
    assert again.target == state.target
    assert len(closed(lambda target: 1.3 * target, again).attempts) == 1
    restored = LoopState.corrected(state.correction)
    assert restored.target == pytest.approx(state.target)


def test_a_step_changes_nothing():
    state = LoopState()
    step(state, Attempt(1.0, 1.5))
    assert state == LoopState()
