"""What is done where a plan that was accepted measures above the budget when all is done."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from reporters import Recorder
from small_models import undecided_net
from told_times import told

from alcs_onnx import Measuring, optimize
from alcs_onnx.pipeline.optimize import OptimizeResult, finish
from alcs_onnx.pipeline.optimize.measured import Measured, measure_finally

pytestmark = pytest.mark.usefixtures("few_samples")

TOLD = "a smaller plan in its place"


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return undecided_net(tmp_path_factory.mktemp("model"))[0]


@pytest.fixture(autouse=True)
def within_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as plans are measured, whatever they keep."""
    monkeypatch.setattr("alcs_onnx.pipeline.common.workload.Workload.time", told({"simd": 0.78}))


def above(times: int) -> Callable[..., Measured]:
    """The last measurement: 4 % above the budget so many times, and then what it is."""
    left = [times]

    def measured(*given: Any) -> Measured:
        found = measure_finally(*given)
        left[0] -= 1
        budget_ms = found.sparse.median / 1.04 if left[0] >= 0 else found.budget_ms
        return Measured(found.dense, found.sparse, budget_ms)

    return measured


def made(network: Path, output: Path | None, recorder: Recorder, **more: Any) -> OptimizeResult:
    measuring = Measuring(warmup=1, iterations=3)
    settings = {"method": "simd", "measuring": measuring, "reporter": recorder, **more}
    return optimize(network, "80%", output, **settings)


def test_a_smaller_plan_takes_its_place(
    network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, output = Recorder(), Recorder(), tmp_path / "out.onnx"
    tables = tmp_path / "tables"  # both runs choose by the same latencies
    before = made(network, output, first, tables=tables)
    written = output.read_bytes()
    assert not any(TOLD in note for note in first.notes)
    monkeypatch.setattr(finish, "measure_finally", above(1))
    after = made(network, output, second, tables=tables)
    assert sum(TOLD in note for note in second.notes) == 1
    assert before.status == after.status == "met"
    assert after.mac_ratio < before.mac_ratio
    assert output.read_bytes() != written


def test_it_is_missed_where_that_does_not_help(
    network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder()
    monkeypatch.setattr(finish, "measure_finally", above(9))
    result = made(network, tmp_path / "out.onnx", recorder)
    assert sum(TOLD in note for note in recorder.notes) == 2
    assert result.status == "missed"
    assert result.message.startswith("budget missed: measured 104.0 % of the budget")


def test_a_plan_that_was_given_stays(
    network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = tmp_path / "plan.json"
    made(network, None, Recorder(), save_plan_to=plan)
    monkeypatch.setattr(finish, "measure_finally", above(1))
    result = made(network, tmp_path / "out.onnx", Recorder(), plan=plan)
    assert result.status == "missed"
