"""Sweeps: points, their folder, what is told of them, and that an interrupted one goes on."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reporters import Recorder
from small_models import labelled_images, residual_net
from sweep_samples import point, swept

import alcs_onnx
from alcs_onnx.cli import main
from alcs_onnx.errors import AlcsError, OutputError
from alcs_onnx.pipeline.common.training import Training
from alcs_onnx.pipeline.common.workload import Measuring
from alcs_onnx.pipeline.sweep import SweepPoint, parse_budgets
from alcs_onnx.pipeline.sweep.folder import differences
from alcs_onnx.report import console
from alcs_onnx.report.sweep import plot_sweep, print_sweep

QUICK = Measuring(warmup=2, iterations=20)
QUICK_FLAGS = ["--warmup", "2", "--iterations", "20"]


pytestmark = pytest.mark.usefixtures("few_samples")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return residual_net(tmp_path_factory.mktemp("model") / "net.onnx", width=16, size=24)


# --- what is asked for


@pytest.mark.parametrize(
    "texts", [["80%,60%,2x"], ["80%", "60%", "2x"], ["80%,", "60%,2x"], ["80% 60%\n2x"]]
)
def test_budgets_are_separated_by_commas_or_spaces(texts: list[str]) -> None:
    assert [budget.text for budget in parse_budgets(texts)] == ["80%", "60%", "2x"]


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ([""], "needs budgets"),
        ([","], "needs budgets"),
        (["80%", "fast"], "'fast' is not understood"),
        (["80%,0%"], "'0%' is not understood"),
        (["80 %"], "'80' is not understood"),
        (["80%", "60%,80%"], "80% is there twice"),
        (["50%", "2x"], "2x is there twice, as 50%"),
        (["1ms", "1000us"], "1000us is there twice, as 1ms"),
    ],
)
def test_nonsense_and_duplicate_budgets(texts: list[str], words: str) -> None:
    with pytest.raises(AlcsError, match=words):
        parse_budgets(texts)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--methods", "simd,magic"], "method 'magic' is not known"),
        (["--methods", "simd", "simd"], "the method simd is there twice"),
        (["--methods", ","], "a sweep needs methods"),
        (["--score", "taylor"], "score 'taylor' is not known: use l1, l2"),
        (["--stages", "2"], "--stages has no effect with --method simd"),
        (["--methods", "channel", "--rho", "1"], "--rho has no effect with --method channel"),
        (["--lr", "0.1"], "--lr needs --data"),
        (["--data", "nowhere.npz"], "nowhere.npz"),
        (["--methods", "channel", "--score", "taylor"], "'taylor' needs --data"),
        (["--tables", __file__], "test_sweep.py is no folder"),
    ],
)
def test_bad_input_is_one_line_and_makes_no_folder(
    flags: list[str],
    words: str,
    network: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "sweep"
    command = ["sweep", str(network), "--budgets", "80%", "-o", str(folder), *flags]
    assert main(command) == 2
    errors = [x for x in capsys.readouterr().err.splitlines() if x.startswith("alcs-onnx: ")]
    assert len(errors) == 1
    assert words in errors[0]
    assert not folder.exists()


def test_differences_are_named() -> None:
    before = {"seed": 0, "budgets": ["80%", "60%"], "training": {"lr": 0.1, "data": "a"}}
    assert differences(before, before) == ""
    now = {"seed": 1, "budgets": ["80%"], "training": {"lr": 0.1, "data": "a"}}
    assert differences(before, now) == ("budgets was 80%, 60%, is now 80%; seed was 0, is now 1")
    assert "training.lr was 0.1, is now not given" in differences(
        before, {**before, "training": {}}
    )


# --- what is told


def test_the_front_is_what_nothing_beats() -> None:
    fast, slow = point("40%", 0.4, 80.0), point("80%", 0.8, 91.0)
    beaten = point("60%", 0.6, 79.0)
    blind = point("50%", 0.5, None)
    lost = SweepPoint("simd", "1%", "unreachable", "cannot be reached")
    result = swept(slow, beaten, fast, blind, lost)
    assert [result.on_frontier(p) for p in result.points] == [True, False, True, None, None]
    # Two points that are alike are both there; one that is slower than the dense model is not.
    twin = replace(fast, method="channel")
    assert swept(fast, twin).on_frontier(twin)
    assert swept(point("2x", 1.1, 90.0)).on_frontier(point("2x", 1.1, 90.0)) is False
    # The dense model is the slow end of it.
    assert result.frontier == ((0.4, 80.0), (0.8, 91.0))
    assert swept(fast).frontier == ((0.4, 80.0), (1.0, 90.0))


def test_a_budget_is_met_where_one_method_meets_it() -> None:
    fast, slow = point("40%", 0.4, 80.0), point("80%", 0.8, 91.0)
    out_of_reach = SweepPoint("channel", "40%", "unreachable", "cannot be reached")
    lost = replace(slow, method="channel", status="lost")
    assert swept(slow, fast, out_of_reach, lost).exit_status == 0
    assert swept(slow, out_of_reach).exit_status == 1
    assert swept(lost, fast).exit_status == 1


def test_the_table_has_every_point(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = SweepPoint("channel", "1%", "unreachable", "the budget cannot be reached: 1 to 2 ms")
    monkeypatch.setattr(console.out, "width", 140)
    print_sweep(swept(point("80%", 0.8, 88.25), lost))
    text = capsys.readouterr().out
    [dense] = [line for line in text.splitlines() if line.lstrip().startswith("dense ")][:1]
    assert "2.000" in dense
    assert "90.00" in dense
    [row] = [line for line in text.splitlines() if "simd" in line]
    for cell in ("80%", "met", "1.520", "1.600", "100.0", "1.25x", "88.25", "80.0", "yes"):
        assert cell in row.split()
    assert "channel at 1%: the budget cannot be reached: 1 to 2 ms" in text
    assert "a CPU" in text


def test_the_plot_shows_the_points_and_the_dense_model(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    result = swept(
        point("80%", 0.8, 88.0), point("40%", 0.4, 80.0), point("60%", 0.5, 81.0, "shape")
    )
    path = tmp_path / "sweep.svg"
    plot_sweep(result, path)
    text = path.read_text()
    names = ("simd, measured", "simd, estimated", "shape, measured", "dense", "frontier")
    for name in (*names, "accuracy (%)"):
        assert f"<!-- {name} -->" in text
    with pytest.raises(AlcsError, match="no points with an accuracy"):
        plot_sweep(swept(point("80%", 0.8, None)), path)


# --- the folder


def test_a_sweep_without_data(network: Path, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "sweep"
    arguments: dict[str, Any] = {"methods": ["simd", "channel"], "measuring": QUICK}
    result = alcs_onnx.sweep(network, "90%,0.5%,10s", folder, **arguments)
    names = [(row.method, row.budget) for row in result.points]
    assert names == [(m, b) for m in ("simd", "channel") for b in ("90%", "0.5%", "10s")]
    for row in result.points:
        if row.budget == "0.5%":
            assert (row.status, row.output, row.measured) == ("unreachable", None, None)
            assert "cannot be reached" in row.message
        elif row.budget == "10s":
            name = f"net-{row.method}-10s.onnx"
            assert (row.status, row.output) == ("unchanged", name)
            assert (folder / name).read_bytes() == network.read_bytes()
        else:
            assert row.status in ("met", "missed")
            name = f"net-{row.method}-90%.onnx"
            assert row.output == name
            assert (folder / name).is_file()
            assert row.measured is not None
            assert row.budget_ms is not None
            assert row.share == pytest.approx(row.measured.median / row.budget_ms)
        assert row.accuracy is None
        assert result.on_frontier(row) is None
    assert result.exit_status == 1
    # One table for each method, whatever the number of budgets.
    assert len(list((folder / "tables").iterdir())) == 2

    written = json.loads((folder / "sweep.json").read_text())
    assert (written["kind"], written["schema"]) == ("alcs-onnx sweep", 2)
    assert [row["status"] for row in written["points"]] == [p.status for p in result.points]
    assert written["points"][0]["speedup"] == result.points[0].speedup
    one = json.loads((folder / "points" / "simd-90%.json").read_text())
    assert (one["result"]["kind"], one["result"]["schema"]) == ("alcs-onnx optimization", 2)
    begun = json.loads((folder / "settings.json").read_text())
    assert begun["kind"] == "alcs-onnx sweep settings"
    for content in (written, one, begun):
        assert list(content)[:2] == ["kind", "schema"]
    assert one["settings"]["model_digest"] == result.model_digest
    assert one["result"]["machine"]["cpu"] == result.dense.machine.cpu
    assert one["result"]["layers"]

    # A finished sweep is taken over as it is, and nothing is run or written again but the table.
    before = contents(folder)
    told = Recorder()
    again = alcs_onnx.sweep(
        network, ["90%", "0.5%", "10s"], folder, resume=True, reporter=told, **arguments
    )
    assert again == result
    assert contents(folder) == before
    assert sum("finished before" in note for note in told.notes) == 6

    with pytest.raises(OutputError, match="not empty; --resume goes on"):
        alcs_onnx.sweep(network, "90%", folder)
    with pytest.raises(AlcsError, match=r"other settings: budgets was 90%, 0\.5%, 10s, is now 90%"):
        alcs_onnx.sweep(network, "90%", folder, resume=True, **arguments)
    with pytest.raises(AlcsError, match="other settings: seed was 0, is now 7"):
        alcs_onnx.sweep(network, "90%,0.5%,10s", folder, resume=True, seed=7, **arguments)
    other = residual_net(tmp_path / "net.onnx", width=16, size=24, seed=9)
    with pytest.raises(AlcsError, match="other settings: model_digest was"):
        alcs_onnx.sweep(other, "90%,0.5%,10s", folder, resume=True, **arguments)
    assert contents(folder) == before

    # A point whose model is gone is made again.
    (folder / "net-simd-90%.onnx").unlink()
    third = alcs_onnx.sweep(network, "90%,0.5%,10s", folder, resume=True, **arguments)
    assert (folder / "net-simd-90%.onnx").is_file()
    assert third.points[1:] == result.points[1:]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_of_something_else_is_refused(resume: bool, network: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("precious")
    words = "no sweep to resume" if resume else "not empty; name another"
    with pytest.raises(AlcsError, match=words):
        alcs_onnx.sweep(network, "90%", tmp_path, resume=resume)
    with pytest.raises(OutputError, match=r"notes\.txt is no folder"):
        alcs_onnx.sweep(network, "90%", tmp_path / "notes.txt", resume=resume)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_any_other_error_names_the_point(network: Path, tmp_path: Path) -> None:
    folder, tables = tmp_path / "sweep", tmp_path / "tables"
    tables.mkdir()
    alcs_onnx.profile(network, tables / "table.json", measuring=QUICK)
    [digest] = [json.loads((tables / "table.json").read_text())["model_digest"]]
    (tables / f"simd4-{digest[:12]}.table.json").write_text("{")
    with pytest.raises(AlcsError, match=r"^simd at 90%: .*not a latency table"):
        alcs_onnx.sweep(network, "90%,80%", folder, tables=tables, measuring=QUICK)
    # What is damaged is told before anything is run, by its name.
    (folder / "settings.json").write_text('{"kind": "alcs-onnx sweep settings", "schema": 99}')
    with pytest.raises(AlcsError, match=r"settings\.json: schema 99, this version reads 1"):
        alcs_onnx.sweep(network, "90%,80%", folder, resume=True, measuring=QUICK)


# --- interruptions


def start(command: list[str]) -> subprocess.Popen[bytes]:
    """The command as a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "alcs_onnx", *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def kill_when(process: subprocess.Popen[bytes], happened: Callable[[], bool]) -> None:
    """Kill the whole group, without warning, as soon as something has happened."""
    deadline = time.monotonic() + 300
    try:
        while not happened():
            if process.poll() is not None:
                assert process.stderr is not None
                pytest.fail(f"ended before it was killed: {process.stderr.read().decode()[-2000:]}")
            assert time.monotonic() < deadline, "nothing happened in five minutes"
            time.sleep(0.01)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def keep(folder: Path, names: list[str], into: Path) -> None:
    into.mkdir(exist_ok=True)
    for name in names:
        for path in (folder / f"{name}.json", folder / f"{name}.json.npz"):
            shutil.copy(path, into)


def test_a_killed_sweep_goes_on_where_it_was(network: Path, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    data = labelled_images(tmp_path / "data.npz", size=24, count=192)
    folder, kept = tmp_path / "sweep", tmp_path / "kept"
    config = {"admm_epochs": 8, "finetune_epochs": 8, "lr": 0.002, "batch_size": 16, "threads": 1}
    flags = [
        "--admm-epochs", "8", "--finetune-epochs", "8", "--lr", "0.002", "--batch-size", "16",
        "--train-threads", "1", "--data", str(data), *QUICK_FLAGS,
    ]  # fmt: skip
    command = ["sweep", str(network), "--budgets", "95%,85%", "--methods", "simd"]
    command += ["-o", str(folder), *flags]
    states = folder / "checkpoints" / "simd-85%"

    def records(stage: str) -> list[Mapping[str, Any]]:
        meta = torch.load(states / f"{stage}.pt", weights_only=True)["meta"]
        found: list[Mapping[str, Any]] = json.loads(meta)["records"]
        return found

    # Killed in the ADMM of the second point, and again in its fine-tuning.
    kill_when(start(command), (states / "admm.pt").is_file)
    first = {name: data for name, data in contents(folder).items() if "simd-95%" in name}
    assert {"points/simd-95%.json", "net-simd-95%.onnx"} <= first.keys()
    assert not (folder / "points" / "simd-85%.json").exists()
    admm = records("admm")
    assert len(admm) < 8
    plan = contents(states)["plan.json"]
    keep(states, ["plan"], kept)
    table = contents(folder / "tables")

    kill_when(start([*command, "--resume"]), (states / "finetune.pt").is_file)
    finetune = records("finetune")
    assert len(finetune) < 8
    assert contents(states)["plan.json"] == plan
    assert records("admm")[: len(admm)] == admm
    keep(states, ["finetune_plan"], kept)

    assert main([*command, "--resume"]) in (0, 1)
    now = contents(folder)
    assert {name: now[name] for name in first} == first
    assert contents(folder / "tables") == table
    assert not states.exists()
    second = json.loads(now["points/simd-85%.json"])["result"]
    # Epochs from before each kill are there with the very seconds that they took: none was run
    # again. `settings` of the file have everything else that it was made with.
    history = second["history"]
    assert [r["stage"] for r in history] == ["admm"] * 8 + ["finetune"] * 8
    assert history[: len(admm)] == admm
    assert history[8 : 8 + len(finetune)] == finetune
    with (
        np.load(kept / "finetune_plan.json.npz") as before,
        np.load(folder / "plans" / "simd-85%.json.npz") as after,
    ):
        assert before.files == after.files
        for name in before.files:
            np.testing.assert_array_equal(before[name], after[name])

    # An uninterrupted run with the same plans ends with the same file, to the last bit.
    output = tmp_path / "whole.onnx"
    whole = alcs_onnx.optimize(
        network,
        "85%",
        output,
        method="simd",
        tables=folder / "tables",
        measuring=QUICK,
        training=Training(str(data), config=config, checkpoint=kept, resume=True),
    )
    assert whole.accuracy is not None
    assert whole.accuracy.stages == second["accuracy"]["stages"]
    assert output.read_bytes() == now["net-simd-85%.onnx"]
    assert [{**r, "seconds": 0} for r in whole.history] == [{**r, "seconds": 0} for r in history]
    assert whole.predicted_ms == second["predicted_ms"]
