"""Warnings about measurements that say more about the machine than about the models."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from alcs_onnx.pipeline.common.noise import noise_warnings
from alcs_onnx.types import Machine, Timing

QUIET = Machine("some CPU", "avx2", 1, "1.20.0", "alcs 0.1.0", "performance", 0.1)
STEADY = Timing.from_samples([1.0] * 20)
UNSTEADY = Timing.from_samples([1.0] * 16 + [1.5] * 4)


def test_a_quiet_machine_is_not_warned_about() -> None:
    assert noise_warnings(QUIET, [STEADY, STEADY], processors=2) == ()
    assert noise_warnings(QUIET, [], processors=2) == ()


def test_a_wide_spread_names_the_worst_model() -> None:
    [alone] = noise_warnings(QUIET, [UNSTEADY], processors=2)
    assert "50 % above the median" in alone
    assert "model" not in alone
    [line] = noise_warnings(QUIET, [STEADY, UNSTEADY, STEADY], processors=2)
    assert "model 2 of 3" in line


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"governor": "powersave"}, "'powersave'"),
        ({"load": 1.01}, "load 1.01 on 2 processor(s)"),
    ],
)
def test_the_machine_before_timing(change: dict[str, Any], expected: str) -> None:
    [line] = noise_warnings(replace(QUIET, **change), [STEADY], processors=2)
    assert expected in line
    assert ";" in line  # then comes what to do


def test_what_the_system_does_not_tell_is_no_warning() -> None:
    silent = replace(QUIET, governor="unknown", load=float("nan"))
    assert noise_warnings(silent, [STEADY]) == ()
    assert noise_warnings(replace(QUIET, load=1.0), [STEADY], processors=2) == ()


def test_all_of_it_at_once() -> None:
    noisy = replace(QUIET, governor="ondemand", load=9.0)
    assert len(noise_warnings(noisy, [UNSTEADY], processors=4)) == 3
