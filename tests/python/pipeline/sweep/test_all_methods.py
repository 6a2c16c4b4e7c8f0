"""Sweeps over every method: what they share, one frontier, and methods that can do nothing here.

Latencies are told, so that int8 is as quick on any machine; what each method loses is real.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graph_helpers import conv_weight, op, store
from graph_helpers import model as proto
from reporters import Recorder
from small_models import undecided_net
from told_times import told

import alcs_onnx
from alcs_onnx.cli import main
from alcs_onnx.pipeline.common import int8, precision
from alcs_onnx.pipeline.common.evidence import Judging
from alcs_onnx.pipeline.common.judge import judge_few
from alcs_onnx.pipeline.common.training import Training
from alcs_onnx.pipeline.common.workload import Measuring
from alcs_onnx.pipeline.optimize import ChannelOptions, auto
from alcs_onnx.pipeline.optimize.methods import CANDIDATES
from alcs_onnx.pipeline.sweep import SweepRequest, SweepResult, parse_budgets

SETTINGS: dict[str, Any] = {
    "measuring": Measuring(warmup=1, iterations=3),
    "channels": ChannelOptions(contributions="predicted"),
}
#: The last is what int8 is told to take; what lies between that and the dense model is chosen by
#: what layers lose.
BUDGETS = ("80%", "75%", "60%")
FLAGS = ["--warmup", "1", "--iterations", "3", "--contributions", "predicted"]

pytestmark = pytest.mark.usefixtures("few_samples")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return undecided_net(tmp_path_factory.mktemp("model"))


def tell(patch: pytest.MonkeyPatch, **times: float) -> None:
    """Milliseconds of each method's models, beside 1 ms of the dense one."""
    patch.setattr("alcs_onnx.pipeline.common.workload.Workload.time", told(times))


@pytest.fixture(scope="module")
def swept(
    files: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory, few_samples: None
) -> tuple[SweepResult, Path, list[str], dict[str, int]]:
    """By the pictures alone: the result, its folder, what was told, and how often what was done."""
    folder, recorder, done = tmp_path_factory.mktemp("sweep") / "runs", Recorder(), {"search": 0}
    search, losses = precision.search_precision, judge_few

    def counted(*given: Any) -> Any:
        done["search"] += 1
        return search(*given)

    def judged(*given: Any) -> Any:
        done["losses"] = done.get("losses", 0) + 1
        return losses(*given)

    with pytest.MonkeyPatch.context() as patch:
        tell(patch, int8=0.58, simd=0.58, channel=0.58)
        patch.setattr(int8, "search_precision", counted)
        patch.setattr("alcs_onnx.pipeline.optimize.layer_losses.judge_few", judged)
        result = alcs_onnx.sweep(
            *(files[0], ",".join(BUDGETS), folder),
            judging=Judging(pictures=str(files[1])), reporter=recorder, **SETTINGS,
        )  # fmt: skip
    return result, folder, recorder.notes, done


Swept = tuple[SweepResult, Path, list[str], dict[str, int]]


def test_every_method_that_auto_knows_is_there(swept: Swept) -> None:
    result, folder, notes, _ = swept
    assert [(row.method, row.budget) for row in result.points] == [
        (method, budget) for method in CANDIDATES for budget in BUDGETS
    ]
    for row in result.points:
        assert row.status in ("met", "lost", "unreachable")
        assert (row.position is None) == (row.status == "unreachable")
        if row.output is not None:
            assert (folder / row.output).is_file()
    assert f"point 1 of {len(CANDIDATES) * 3}: int8 at 80%" in notes
    assert result.settings["methods"] == list(CANDIDATES)
    # Of labelled pictures accuracy is left, as the verdict says.
    assert result.dense.measure == "accuracy"
    [int8] = [row for row in result.points if (row.method, row.budget) == ("int8", "60%")]
    assert int8.status == "met"
    assert int8.fidelity is not None
    assert int8.accuracy == 100 * (int8.fidelity.accuracy or 0)
    assert result.dense.accuracy == 100 * (int8.fidelity.dense_accuracy or 0)


def test_what_does_not_depend_on_the_budget_is_done_once(swept: Swept) -> None:
    """Nodes are timed in int8, and what each loses is found out, for all points of both methods."""
    _, folder, notes, done = swept
    assert done == {"search": 1, "losses": 1}
    assert sum(note.startswith("the dense model on ") for note in notes) == 1
    assert len(list((folder / "tables").glob("*.json"))) == 3  # groups, channels, int8 blocks


def test_one_frontier_over_all(swept: Swept) -> None:
    result, folder, *_ = swept
    placed = [row for row in result.points if row.position is not None]
    everything = [x.position for x in placed if x.position] + [(1.0, result.dense.accuracy or 0.0)]
    for row in placed:
        assert row.position is not None
        latency, left = row.position
        beaten = any(
            x <= latency and y >= left and (x, y) != (latency, left) for x, y in everything
        )
        assert result.on_frontier(row) == (not beaten)
    lefts = [left for _, left in result.frontier]
    assert lefts == sorted(lefts)  # whoever is slower has more left
    written = json.loads((folder / "sweep.json").read_text())["points"]
    assert [row["on_front"] for row in written] == [result.on_frontier(x) for x in result.points]


def test_a_method_that_can_do_nothing_here_is_a_row(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where int8 is slower than float32 the others go on."""
    tell(monkeypatch, int8=1.5, simd=0.58, channel=0.58)
    result = alcs_onnx.sweep(
        *(files[0], "60%", tmp_path / "runs"), judging=Judging(pictures=str(files[1])), **SETTINGS
    )
    rows = {row.method: row for row in result.points}
    for method in ("int8", "channel-int8"):
        assert rows[method].status == "unreachable"
        assert "no int8 node is quicker on this machine" in rows[method].message
    assert rows["simd"].measured is not None
    assert rows["channel"].measured is not None


def test_of_data_every_point_is_calibrated_trained_and_judged(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without pictures: by the command line, as far as the page."""
    pytest.importorskip("torch")
    tell(monkeypatch, int8=0.58, simd=0.58, channel=0.58)
    network, images = files
    folder = tmp_path / "runs"
    command = ["sweep", str(network), "--budgets", "60%", "-o", str(folder), "--report", *FLAGS]
    schedule = ["--admm-epochs", "0", "--finetune-epochs", "1", "--batch-size", "16"]
    assert main([*command, "--data", str(images), *schedule, "--train-threads", "1"]) == 0
    document = json.loads((folder / "sweep.json").read_text())
    rows = {row["method"]: row for row in document["points"]}
    assert list(rows) == list(CANDIDATES)
    for method in ("int8", "simd", "channel"):
        assert rows[method]["fidelity"]["source"] == f"test samples of {images}"
        assert rows[method]["accuracy"] == pytest.approx(100 * rows[method]["fidelity"]["accuracy"])
        result = json.loads((folder / "points" / f"{method}-60%.json").read_text())["result"]
        assert len(result["history"]) == (0 if method == "int8" else 1)
    assert (document["dense"]["measure"], document["dense"]["samples"]) == ("accuracy", 48)
    page = (folder / "REPORT.html").read_text()
    for name in (*CANDIDATES[:3], "dense", "frontier"):
        assert f">{name}</span>" in page


def test_pictures_without_classes_have_a_frontier_too(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what is not off: an output for each pixel has no classes to agree on."""
    tell(monkeypatch, int8=0.58)
    rng = np.random.default_rng(0)
    nodes = [
        op("Conv", "x v", "a", "first", pads=[1] * 4),
        op("Relu", "a", "b", "relu"),
        op("Conv", "b w", "y", "last", pads=[1] * 4),
    ]
    weights = {"v": conv_weight(rng, 16, 3, 3, 3), "w": conv_weight(rng, 3, 16, 3, 3)}
    network = store(proto(nodes, weights, ("N", 3, 16, 16)), tmp_path)
    np.savez(
        tmp_path / "pictures.npz",
        x_train=rng.integers(0, 256, (24, 16, 16, 3)).astype(np.uint8),
    )
    judging = Judging(pictures=str(tmp_path / "pictures.npz"))
    result = alcs_onnx.sweep(
        *(network, "60%", tmp_path / "runs"), methods=["int8"], judging=judging, **SETTINGS
    )
    [row] = result.points
    assert (result.dense.accuracy, result.dense.measure) == (100, "100 - relative error")
    assert row.fidelity is not None
    assert row.accuracy == pytest.approx(100 - row.fidelity.loss)
    assert result.on_frontier(row)


@pytest.mark.parametrize(
    ("given", "ways"),
    [
        ({}, ("simd",)),
        ({"judging": Judging(pictures="p")}, CANDIDATES),
        ({"training": Training("d")}, CANDIDATES),
        ({"judging": Judging(pictures="p"), "methods": ("channel",)}, ("channel",)),
    ],
)
def test_what_is_swept_where_no_method_is_named(given: dict[str, Any], ways: tuple[str]) -> None:
    budgets = parse_budgets(["50%"])
    request = SweepRequest(model=Path("m.onnx"), budgets=budgets, output=Path("o"), **given)
    assert request.ways == ways


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ("bogus", "method 'bogus' is not known: use "),
        ("simd,int8", "the method int8 needs pictures to calibrate with: --calibration PICTURES"),
        ("auto", "the method auto needs pictures to calibrate with: --calibration PICTURES"),
    ],
)
def test_methods_that_there_are_not_are_one_line(
    methods: str,
    message: str,
    files: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Before anything is measured and the folder is there."""
    output = tmp_path / "runs"
    given = ["sweep", str(files[0]), "--budgets", "60%", "-o", str(output), "--methods", methods]
    assert main(given) == 2
    [line] = [x for x in capsys.readouterr().err.splitlines() if x.startswith("alcs-onnx: ")]
    assert message in line
    assert not output.exists()


def test_auto_is_a_method_of_a_sweep(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And finds out once what does not depend on the budget."""
    searched: list[object] = []
    search = precision.search_precision

    def counted(*given: Any) -> Any:
        searched.append(given)
        return search(*given)

    tell(monkeypatch, int8=0.58)
    monkeypatch.setattr(int8, "search_precision", counted)
    monkeypatch.setattr(auto, "GOOD_ENOUGH", 50.0)
    output = tmp_path / "runs"
    given = ["sweep", str(files[0]), "--budgets", "60%", "59%", "-o", str(output)]
    given += ["--methods", "auto", "--calibration", str(files[1])]
    assert main([*given, "--warmup", "1", "--iterations", "3"]) == 0
    assert len(searched) == 1
    assert len(list(output.glob("*auto*.onnx"))) == 2
