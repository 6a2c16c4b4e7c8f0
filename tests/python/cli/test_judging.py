"""`--calibration` and what goes with it: the verdict of each command, and flags without effect."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from html_checks import check
from small_models import undecided_net
from told_times import told

from alcs_onnx.cli import main

QUICK = ["--warmup", "1", "--iterations", "3"]
#: Too short to learn anything.
SCHEDULE = ["--admm-epochs", "0", "--finetune-epochs", "1", "--train-threads", "1"]

pytestmark = pytest.mark.usefixtures("few_samples")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    network, images = undecided_net(tmp_path_factory.mktemp("model"))
    return str(network), str(images)


@pytest.fixture(scope="module")
def unlabelled(files: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("pictures") / "pictures.npz"
    with np.load(files[1]) as images:
        np.savez(path, x_train=images["x_train"])
    return str(path)


@pytest.fixture(autouse=True)
def told_latencies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every method reaches 60 %, on any machine."""
    time = told({"int8": 0.58, "simd": 0.58, "channel": 0.58})
    monkeypatch.setattr("alcs_onnx.pipeline.common.workload.Workload.time", time)


def last(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out.splitlines()[-1]


def test_optimize(
    files: tuple[str, str], unlabelled: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Half of the groups gone, the others as they were, loses more than 1 %: all say how much."""
    out, exported = tmp_path / "out.onnx", tmp_path / "out.json"
    command = ["optimize", files[0], "--budget", "60%", "--method", "simd", "-o", str(out)]
    command += [
        "--refit",
        "off",
        "--calibration",
        unlabelled,
        "--export-json",
        str(exported),
        "--report",
        *QUICK,
    ]
    assert main([*command, "--max-loss", "1"]) == 1
    verdict = last(capsys)
    assert f" of 48 pictures of {unlabelled}" in verdict
    assert "agrees with the dense model on" in verdict
    assert verdict.endswith(": MORE than the 1 % that may be lost")
    document = json.loads(exported.read_text())
    assert (document["status"], document["verdict"]) == ("lost", verdict)
    fidelity = document["fidelity"]
    assert fidelity["agreement"] < 0.99
    assert document["behaviour"]["classes"] == 4
    # The page says it in its title and first of all.
    page = (tmp_path / "out.report.html").read_text()
    text = check(page).text
    agreement = f"agreement {100 * fidelity['agreement']:.1f} %"
    assert f"<title>net.onnx: 60%, lost, {agreement}</title>" in page
    assert text.index(verdict) < text.index("Reachable")
    assert 'class="warning"' in page
    # What may be lost is what is asked for.
    assert main([*command, "--max-loss", "99"]) in (0, 1)
    assert "99 % that may be lost" in last(capsys)


def test_optimize_without_pictures_says_how_far_outputs_moved(
    files: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of random inputs no one can say that a network is destroyed: the status is of the budget."""
    out = str(tmp_path / "out.onnx")
    command = ["optimize", files[0], "--budget", "60%", "--method", "simd", "-o", out, *QUICK]
    assert main(command) == 0
    verdict = last(capsys)
    assert "outputs moved by" in verdict
    assert "of 8 random inputs; give --calibration PICTURES to know what that means" in verdict


def test_compile(
    files: tuple[str, str], unlabelled: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing changes but the order of sums, with pictures and without."""
    command = ["compile", files[0], "-o", str(tmp_path / "out.onnx")]
    assert main(command) == 0
    assert last(capsys).startswith("nothing is lost: the outputs are the original's")
    assert main([*command, "--calibration", unlabelled, "--max-loss", "0.1"]) == 0
    assert last(capsys).startswith("agrees with the dense model on 100.0 % of 48 pictures")
    scored = [*command, "--calibration", unlabelled, "--judge", "operator:truth"]
    assert main(scored) == 2
    assert "score 'operator:truth' failed: TypeError" in capsys.readouterr().err


def test_compile_that_loses_too_much(
    files: tuple[str, str],
    unlabelled: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By a score that nothing satisfies: the figures, and status 1."""
    (tmp_path / "severe.py").write_text("def half(expected, found): return 0.5\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    command = ["compile", files[0], "-o", "out.onnx", "--calibration", unlabelled]
    assert main([*command, "--judge", "severe:half", "--max-loss", "20"]) == 1
    assert "scores 50.0 % of the dense model's 100 % of 48 pictures" in (verdict := last(capsys))
    assert verdict.endswith("MORE than the 20 % that may be lost")


def test_compress(
    files: tuple[str, str], unlabelled: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    exported = tmp_path / "out.json"
    command = ["compress", files[0], "--keep", "20x", "--data", files[1], *QUICK, *SCHEDULE]
    command += ["-o", str(tmp_path / "out.onnx"), "--export-json", str(exported)]
    assert main([*command, "--calibration", unlabelled, "--max-loss", "1"]) == 1
    verdict = last(capsys)
    assert verdict.startswith("simd: ")
    assert f" of 48 pictures of {unlabelled}" in verdict
    assert verdict.endswith(": MORE than the 1 % that may be lost")
    document = json.loads(exported.read_text())
    assert document["verdicts"] == [verdict]
    assert document["max_loss"] == 1
    assert document["rows"][0]["fidelity"]["samples"] == 48
    # Without pictures the test samples of the data say it.
    main([*command, "--max-loss", "99"])
    assert f" of 48 test samples of {files[1]}" in last(capsys)


def test_sweep(
    files: tuple[str, str], unlabelled: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each point has its verdict; the frontier is by agreement where there are no labels."""
    folder = tmp_path / "runs"
    command = [
        "sweep",
        files[0],
        "--budgets",
        "60%",
        "--methods",
        "int8,simd",
        "--refit",
        "off",
        *QUICK,
    ]
    command += ["-o", str(folder), "--calibration", unlabelled, "--max-loss", "10", "--report"]
    assert main(command) == 0  # by one of the methods
    int8, simd = capsys.readouterr().out.splitlines()[-2:]
    assert int8.startswith("int8 at 60%: agrees with the dense model on")
    assert int8.endswith("within the 10 % that may be lost")
    assert simd.startswith("simd at 60%: budget met")
    assert simd.endswith("MORE than the 10 % that may be lost")
    document = json.loads((folder / "sweep.json").read_text())
    first, second = document["points"]
    assert (first["status"], second["status"]) == ("met", "lost")
    assert first["verdict"] == int8.removeprefix("int8 at 60%: ")
    assert first["accuracy"] == pytest.approx(100 * first["fidelity"]["agreement"])
    assert (document["dense"]["accuracy"], document["dense"]["measure"]) == (100, "agreement")
    assert (first["on_front"], second["on_front"]) == (True, False)
    page = check((folder / "REPORT.html").read_text()).text
    assert page.index(int8) < page.index(simd) < page.index("speed-up")


def test_prune_masks(
    files: tuple[str, str], unlabelled: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Which nodes are to be int8 is a plan, too."""
    plan = tmp_path / "plan.json"
    command = ["prune-masks", files[0], "--budget", "60%", "--method", "int8", "-o", str(plan)]
    assert main([*command, "--calibration", unlabelled, *QUICK]) == 0
    assert last(capsys).startswith("agrees with the dense model on")
    assert json.loads(plan.read_text())["method"] == "int8"


@pytest.mark.parametrize("command", ["optimize", "compile", "sweep"])
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--samples", "64"], "--samples has no effect without --calibration PICTURES"),
        (["--judge", "m:f"], "--judge has no effect without --calibration PICTURES"),
        (["--max-loss", "3"], "--max-loss needs --calibration PICTURES or --data"),
        (["--calibration", "nowhere.npz"], "nowhere.npz"),
        (["--calibration", "@", "--samples", "8"], "8 samples are too few: at least 16"),
        (["--calibration", "@", "--judge", "nowhere:f"], "score 'nowhere:f' failed"),
        (["--calibration", "@", "--preprocess", "gray"], "preprocessing 'gray'"),
    ],
)
def test_flags_that_do_not_fit(
    command: str,
    flags: list[str],
    message: str,
    files: tuple[str, str],
    unlabelled: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    required = {"optimize": ["--budget", "60%"], "compile": [], "sweep": ["--budgets", "60%"]}
    given = [unlabelled if flag == "@" else flag for flag in flags]
    output = tmp_path / "out"
    assert main([command, files[0], *required[command], "-o", str(output), *given]) == 2
    [line] = [x for x in capsys.readouterr().err.splitlines() if x.startswith("alcs-onnx: ")]
    assert message in line
    assert not output.exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--search-minutes", "1"], "--search-minutes has no effect without --method auto"),
        (
            ["--calibration", "@", "--method", "int8", "--search-minutes", "1"],
            "--search-minutes has no effect without --method auto",
        ),
        (["--method", "shape", "--precision", "int8"], "--method shape makes no int8 model"),
        (["--method", "int8", "--precision", "float32"], "--method int8 makes no float32 model"),
        (["--method", "auto"], "--method auto needs --calibration PICTURES"),
        (
            ["--calibration", "@", "--method", "auto", "--plan", "plan.json"],
            "--method auto measures for itself: leave out --plan and --profile",
        ),
        (
            ["--calibration", "@", "--precision", "int8", "--group-size", "8"],
            "--group-size has no effect with --method int8",
        ),
        (
            ["--calibration", "@", "--method", "int8", "--stages", "2"],
            "--stages has no effect with --method int8",
        ),
        (
            ["--calibration", "@", "--method", "int8", "--score", "l1"],
            "--score has no effect with --method int8",
        ),
        (
            ["--calibration", "@", "--method", "int8", "--data", "d.npz", "--rho", "1"],
            "--rho has no effect with --method int8",
        ),
    ],
)
def test_flags_of_methods_that_do_not_fit(
    flags: list[str],
    message: str,
    files: tuple[str, str],
    unlabelled: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = [unlabelled if flag == "@" else flag for flag in flags]
    output = tmp_path / "out.onnx"
    assert main(["optimize", files[0], "--budget", "60%", "-o", str(output), *given]) == 2
    assert message in capsys.readouterr().err
    assert not output.exists()


@pytest.mark.parametrize("points", ["100", "-1", "nan", "much"])
def test_points_that_are_none(
    points: str, files: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["compile", files[0], "-o", "out.onnx", "--calibration", "c", "--max-loss", points]
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert ended.value.code == 2
    assert f"'{points}'" in capsys.readouterr().err
