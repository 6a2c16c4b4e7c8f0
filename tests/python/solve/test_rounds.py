"""Rounds of progressive pruning: what the next one asks for."""

from __future__ import annotations

from alcs_onnx.solve.rounds import Rounds


def test_a_round_that_failed_asks_for_the_square_root():
    rounds = Rounds(4.0, 6, 1.15)
    factors = []
    for accepted in (True, False, True, False, False):
        factors.append(rounds.factor)
        rounds = rounds.after(accepted=accepted)
    assert factors == [4, 4, 2, 2, 2**0.5]
    assert not rounds.over
    assert rounds.after(accepted=True).over


def test_rounds_are_over_when_the_factor_is_too_small():
    assert Rounds(1.1, 5, 1.15).over
    assert not Rounds(1.2, 5, 1.15).over
    assert Rounds(1.3, 5, 1.15).after(accepted=False).over
