"""`--method auto`: of several ways to the budget the one that loses least, and why not the others.

Latencies are told, so that every method reaches the budget on any machine; what each loses is real.
"""

from __future__ import annotations

import json
from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from graph_helpers import conv_weight, model, op, store
from html_checks import check
from reporters import Recorder
from small_models import undecided_net, with_own_labels
from told_times import told

from alcs_onnx import Measuring, Training, optimize
from alcs_onnx.cli import main
from alcs_onnx.errors import AlcsError, BudgetError, DataError
from alcs_onnx.pipeline.common.evidence import Judging
from alcs_onnx.pipeline.common.workload import Workload
from alcs_onnx.pipeline.optimize import OptimizeRequest, OptimizeResult, auto, finish
from alcs_onnx.pipeline.optimize.measured import Measured, measure, measure_finally
from alcs_onnx.pipeline.optimize.methods import AUTO, CANDIDATES
from alcs_onnx.report import console
from alcs_onnx.report.optimize import optimize_page, print_optimize
from alcs_onnx.serialized import Serialized
from alcs_onnx.types import Budget

QUICK = Measuring(warmup=1, iterations=3)
FLAGS = ["--warmup", "1", "--iterations", "3"]

pytestmark = pytest.mark.usefixtures("few_samples")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    network, images = undecided_net(tmp_path_factory.mktemp("model"))
    return network, with_own_labels(network, images)


def tell(patch: pytest.MonkeyPatch, **times: float) -> None:
    """Milliseconds of each method's models, beside 1 ms of the dense one."""
    patch.setattr("alcs_onnx.pipeline.common.workload.Workload.time", told(times))


def try_all(patch: pytest.MonkeyPatch) -> None:
    """No loss is small enough to try no other method, and no estimate makes one superfluous."""
    patch.setattr(auto, "GOOD_ENOUGH", -100.0)
    patch.setattr(auto, "unopened_loss", lambda run: -100.0)
    patch.setattr(auto, "opened_loss", lambda run, pruning: -100.0)
    patch.setattr(auto, "parts_more", lambda run, model: False)


def found(
    files: tuple[Path, Path], output: Path | None = None, budget: str = "60%", **given: object
) -> OptimizeResult:
    network, images = files
    judging = Judging(pictures=str(images))
    arguments = {"measuring": QUICK, "judging": judging, **given}
    return optimize(network, budget, output, **arguments)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def compared(
    files: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory, few_samples: None
) -> OptimizeResult:
    """All methods at 60 %, weights left as they are."""
    with pytest.MonkeyPatch.context() as patch:
        tell(patch, int8=0.58, simd=0.58, channel=0.58)
        try_all(patch)
        return found(files, tmp_path_factory.mktemp("auto") / "out.onnx", refit="off")


def test_the_method_that_loses_least_is_written(compared: OptimizeResult) -> None:
    assert [row.method for row in compared.tried] == list(CANDIDATES)
    losses = {row.method: row.fidelity.loss for row in compared.tried if row.fidelity}
    assert len(losses) == 3, compared.tried
    assert losses["int8"] < min(losses["simd"], losses["channel"])
    assert {row.method: row.outcome for row in compared.tried} == {
        "int8": "chosen", "simd": "met", "channel": "met", "channel-int8": "not tried",
        "simd-int8": "not tried", "block-int8": "not tried",
    }  # fmt: skip
    assert {row.why for row in compared.tried[3:]} == {"int8 alone reaches the budget"}
    for row in compared.tried[:3]:
        assert row.latency_ms == 0.58
        assert row.share == pytest.approx(0.58 / 0.6)
        assert row.bytes is not None
        assert row.bytes > 1000
        assert row.why == ("" if row.outcome == "chosen" else "loses more")
    # What is written and told is the chosen one's.
    assert compared.settings["method"] == "int8"
    assert compared.output is not None
    assert b"DequantizeLinear" in Path(compared.output).read_bytes()
    assert compared.fidelity is not None
    assert compared.fidelity.loss == losses["int8"]
    assert compared.status == "met"


def test_another_method_where_int8_is_too_slow(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(monkeypatch, int8=0.9, simd=0.58, channel=0.58)
    try_all(monkeypatch)
    result = found(files, tmp_path / "out.onnx")
    by_name = {row.method: row for row in result.tried}
    assert by_name["int8"].outcome == "unreachable"
    assert "cannot be reached by int8" in by_name["int8"].why
    assert by_name["int8"].fidelity is None
    met = {name: row.fidelity.loss for name, row in by_name.items() if row.fidelity is not None}
    assert set(met) == {"simd", "channel"}
    [chosen] = [row.method for row in result.tried if row.outcome == "chosen"]
    assert met[chosen] == min(met.values())
    assert result.settings["method"] == chosen


@pytest.mark.parametrize(
    ("int8", "tried"),
    [(0.7, ["int8", "block-int8", "channel-int8", "simd-int8", "simd", "channel"]),
     (0.95, list(CANDIDATES))],
)  # fmt: skip
def test_what_goes_on_from_int8_comes_first_where_that_lowers_the_latency(
    files: tuple[Path, Path], int8: float, tried: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(monkeypatch, int8=int8, simd=0.58, channel=0.58)
    try_all(monkeypatch)
    told_notes = Recorder()
    result = found(files, refit="off", reporter=told_notes)
    notes = [note for note in told_notes.notes if note.startswith("method ")]
    assert notes == [f"method {name}:" for name in tried]
    assert [row.method for row in result.tried] == list(CANDIDATES)


def test_nothing_is_tried_beside_one_that_loses_next_to_nothing(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(monkeypatch, int8=0.58)  # a model of another method would have no time
    monkeypatch.setattr(auto, "GOOD_ENOUGH", 50.0)
    result = found(files)
    outcomes = [(row.method, row.outcome) for row in result.tried]
    assert outcomes == [("int8", "chosen"), *((name, "not tried") for name in CANDIDATES[1:])]
    assert all("another method loses only" in row.why for row in result.tried[1:])
    assert result.status == "dry run"


def test_nothing_is_removed_where_an_estimate_that_flatters_it_loses_more(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(monkeypatch, int8=0.11)  # a model of another method would have no time
    monkeypatch.setattr(auto, "GOOD_ENOUGH", -100.0)
    result = found(files, budget="12%")
    by_name = {row.method: row for row in result.tried}
    for name in ("simd", "channel"):
        assert by_name[name].outcome == "not tried"
        assert by_name[name].why.endswith(", by an estimate")


def test_minutes_that_are_over(files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of methods that reach the budget the first is there then, whatever it loses."""
    tell(monkeypatch, int8=0.58)
    monkeypatch.setattr(auto, "GOOD_ENOUGH", -100.0)
    result = found(files, search_minutes=1e-6)
    assert [row.outcome for row in result.tried] == [
        "chosen",
        *["not tried"] * (len(CANDIDATES) - 1),
    ]
    assert result.tried[1].why == "the 1e-06 minutes of --search-minutes are over"


def test_float32_alone_leaves_int8_out(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(monkeypatch, simd=0.58, channel=0.58)
    try_all(monkeypatch)
    result = found(files, precision="float32")
    assert [row.method for row in result.tried] == ["simd", "channel"]


def test_no_method_reaches_the_budget(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line that says of every method why, and nothing is written."""
    tell(monkeypatch, int8=0.9, simd=0.9, channel=0.9)
    recorder = Recorder()
    with pytest.raises(BudgetError) as caught:
        found(files, tmp_path / "out.onnx", budget="60%", reporter=recorder)
    text = str(caught.value)
    assert text.startswith("no method reaches the budget of 60% (")
    for name in CANDIDATES:
        assert f"{name}: " in text
        assert f"method {name}:" in recorder.notes
    assert text.count("cannot be reached") + text.count("was not met") >= 3
    assert list(tmp_path.iterdir()) == []


def test_methods_that_missed_it_when_they_were_measured_again(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(monkeypatch, int8=0.58, simd=0.9, channel=0.9)

    def slower(workload: Workload, candidate: Serialized, budget: Budget) -> Measured:
        return replace(measure(workload, candidate, budget), budget_ms=0.5)

    monkeypatch.setattr(auto, "measure", slower)
    with pytest.raises(BudgetError, match=r"\(int8: measured 116\.0 % of .*; simd: the b"):
        found(files)


def test_another_is_written_where_the_best_measures_above_the_budget_in_the_end(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(monkeypatch, int8=0.58, simd=0.58, channel=0.58)
    try_all(monkeypatch)

    def slower(workload: Workload, written: bytes, budget: Budget) -> Measured:
        measured = measure_finally(workload, written, budget)
        return replace(measured, budget_ms=0.5) if b"DequantizeLinear" in written else measured

    monkeypatch.setattr(finish, "measure_finally", slower)
    result = found(files, tmp_path / "out.onnx")
    rows = {row.method: row for row in result.tried}
    assert rows["int8"].outcome == "missed"
    assert rows["int8"].why.startswith("budget missed: measured 116.0 % of the budget")
    [chosen] = [row for row in result.tried if row.outcome == "chosen"]
    assert chosen.method == result.settings["method"] in ("simd", "channel")
    assert (chosen.fidelity, result.status) == (result.fidelity, "met")
    assert chosen.bytes == (tmp_path / "out.onnx").stat().st_size
    assert b"DequantizeLinear" not in (tmp_path / "out.onnx").read_bytes()


def test_pictures_that_the_model_does_not_run_on_are_no_matter_of_the_budget(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    weights = {"w": conv_weight(rng, 8, 3, 3, 3), "v": conv_weight(rng, 8, 8, 3, 3)}
    nodes = [op("Conv", "x w", "a"), op("Sqrt", "a", "s", "root"), op("Conv", "s v", "y")]
    network = store(model(nodes, weights, ("N", 3, 12, 12), opset=13), tmp_path)
    images = tmp_path / "images.npz"
    np.savez(images, x_train=rng.integers(0, 256, (32, 12, 12, 3)).astype(np.uint8))
    with pytest.raises(DataError, match="node 'root' \\(Sqrt\\) computes NaN"):
        found((network, images), tmp_path / "out.onnx")
    assert not (tmp_path / "out.onnx").exists()


def test_a_model_within_its_budget_needs_no_method(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(monkeypatch, int8=0.58)
    result = found(files, tmp_path / "out.onnx", budget="2ms")
    assert (result.status, result.tried) == ("unchanged", ())
    assert (tmp_path / "out.onnx").read_bytes() == files[0].read_bytes()
    assert result.verdict == "nothing is lost: the dense model is what it was"


def test_it_is_the_default_where_there_are_pictures() -> None:
    request = OptimizeRequest(
        model=Path("m.onnx"), budget=Budget.parse("50%"), judging=Judging(pictures="p")
    )
    assert request.way == AUTO
    assert replace(request, judging=Judging()).way == "simd"
    assert replace(request, judging=Judging(), training=Training("d")).way == AUTO
    assert replace(request, precision="int8").way == "int8"
    assert replace(request, plan=Path("plan.json")).way == "simd"
    assert replace(request, table=Path("table.json")).way == "simd"
    assert replace(request, method="channel").way == "channel"
    with pytest.raises(AlcsError, match="--method auto needs --calibration"):
        replace(request, method=AUTO, judging=Judging())
    with pytest.raises(AlcsError, match="leave out --plan and --profile"):
        replace(request, method=AUTO, plan=Path("plan.json"))
    with pytest.raises(AlcsError, match="precision 'int4' is not one of auto, float32, int8"):
        replace(request, precision="int4")


# --- what is told


def test_the_terminal_has_a_row_for_each_method(
    compared: OptimizeResult,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(console.out, "width", 160)
    print_optimize(compared)
    lines = capsys.readouterr().out.splitlines()
    start = lines.index("Methods")
    table = [line.split() for line in lines[start : start + 12]]
    for row in compared.tried[:3]:
        [cells] = [line for line in table if line[:1] == [row.method]]
        assert row.fidelity is not None
        assert cells[1:3] == [row.outcome, "0.580"]
        assert f"{row.fidelity.loss:.2f}" in cells
    assert lines[-1] == compared.verdict
    assert lines[-2] == compared.message


def test_the_page_has_them_too_and_their_frontier(compared: OptimizeResult) -> None:
    text = optimize_page(compared)
    page = check(text)
    assert compared.fidelity is not None
    assert f"<title>net.onnx: 60%, met, {compared.fidelity.brief}</title>" in unescape(text)
    assert compared.verdict in page.text
    assert page.text.index(compared.verdict) < page.text.index("Reachable")
    tips = "\n".join(page.values("data-tip"))
    for row in compared.tried[:3]:
        assert row.fidelity is not None
        assert row.fidelity.brief in page.text
        assert f"{row.method}\nlatency (ms): 0.58\nloss (%): {row.fidelity.loss:.6g}" in tips


def test_the_json_has_them_too(
    files: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By the command line, without --method: the last line is the verdict."""
    tell(monkeypatch, int8=0.58)
    monkeypatch.setattr(auto, "GOOD_ENOUGH", 50.0)
    network, images = files
    exported = tmp_path / "out.json"
    command = ["optimize", str(network), "--budget", "60%", "-o", str(tmp_path / "out.onnx")]
    command += ["--calibration", str(images), "--export-json", str(exported), *FLAGS]
    assert main([*command, "--search-minutes", "3"]) == 0
    document = json.loads(exported.read_text())
    assert [(row["method"], row["outcome"]) for row in document["tried"]] == [
        ("int8", "chosen"),
        *((name, "not tried") for name in CANDIDATES[1:]),
    ]
    assert document["tried"][0]["fidelity"]["samples"] == 48
    assert document["tried"][1]["fidelity"] is None
    assert capsys.readouterr().out.splitlines()[-1] == document["verdict"]
