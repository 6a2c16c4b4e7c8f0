"""`compress` and `compare-structures` from pictures alone: nothing is trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reporters import Recorder
from small_models import undecided_net

from alcs_onnx.api import compress
from alcs_onnx.cli import main
from alcs_onnx.codebooks import get_codebook, quantize
from alcs_onnx.graph import Model, conv_layers, load_model, loadable
from alcs_onnx.pipeline.common.evidence import Judging, Subject, gather
from alcs_onnx.pipeline.common.workload import Measuring, open_workload
from alcs_onnx.pipeline.compress import CompressionResult, CompressOptions
from alcs_onnx.posttraining import layers
from alcs_onnx.structures import STRUCTURES

QUICK = Measuring(iterations=3, warmup=1)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return undecided_net(tmp_path_factory.mktemp("model"))


def compressed(
    files: tuple[Path, Path], output: Path, *keep: str, **options: Any
) -> tuple[CompressionResult, list[str]]:
    """The result, and what was told."""
    told = Recorder()
    result = compress(
        files[0],
        output,
        options=CompressOptions(keep=keep, **options),
        judging=Judging(pictures=str(files[1])),
        measuring=QUICK,
        reporter=told,
    )
    return result, told.notes


def error_of(files: tuple[Path, Path], model: Model) -> float:
    """The relative error of the outputs on the pictures that judge."""
    told = Recorder()
    workload = open_workload(files[0], simd_group=4, measuring=QUICK, seed=0, reporter=told)
    evidence = gather(Subject.of(workload), Judging(pictures=str(files[1])), None, told)
    return evidence.judge.judge(loadable(model)).relative_error


@pytest.mark.parametrize("structure", STRUCTURES)
def test_every_structure_is_pruned_quantized_and_written(
    files: tuple[Path, Path], tmp_path: Path, structure: str
) -> None:
    result, _ = compressed(files, tmp_path / "out.onnx", "60%", structure=structure, levels="4bit")
    [row] = result.rows
    assert (row.quantization, row.epochs) == ("4bit", ())
    assert row.prune_rate is not None
    assert row.prune_rate >= 1.4
    assert row.fidelity is not None
    assert row.accuracy == pytest.approx((row.fidelity.quality or 0) / 100)
    assert [tried.step for tried in row.history] == [structure, "4bit"]
    written = load_model(tmp_path / "out.onnx")
    assert error_of(files, written) == pytest.approx(row.fidelity.relative_error, rel=0.01)


def test_less_is_lost_than_by_the_weights_alone(files: tuple[Path, Path], tmp_path: Path) -> None:
    result, _ = compressed(files, tmp_path / "out.onnx", levels="ternary")
    dense, nearest = load_model(files[0]), {}
    for layer in conv_layers(dense):
        weight = np.asarray(dense.initializers[layer.weight])
        nearest[layer.weight] = quantize(weight, get_codebook("ternary")).values()
    fidelity = result.rows[0].fidelity
    assert fidelity is not None
    assert fidelity.relative_error < 0.6 * error_of(files, dense.with_initializers(nearest))


def test_what_one_structure_removes_stays_so_in_the_next_and_in_levels(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    result, notes = compressed(
        files, tmp_path / "out.onnx", "filter:60%", "unstructured:50%",
        structure="filter+unstructured", levels="3bit", rounds=2,
    )  # fmt: skip
    [row] = result.rows
    kept = [tried.rate for tried in row.history]
    assert kept == sorted(kept)
    assert len(kept) == 5
    assert row.prune_rate is not None
    assert row.prune_rate > 2.5
    assert any(note.startswith("3bit: accuracy") for note in notes)


def test_layers_that_cannot_be_refitted_keep_their_largest_weights(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layers, "_MOST_COLUMNS", 27)
    result, notes = compressed(files, tmp_path / "out.onnx", "50%", levels="4bit")
    assert any("cannot be refitted" in note for note in notes)
    assert result.rows[0].quantization == "4bit"


def test_structures_are_compared(files: tuple[Path, Path], tmp_path: Path) -> None:
    network, images = files
    table = tmp_path / "r.json"
    flags = ["--structures", "unstructured", "shape", "--quantize", "4bit", "--rounds", "2"]
    flags += ["--tolerance", "20", "--iterations", "3", "--warmup", "1"]
    arguments = [network, "--calibration", images, *flags, "--export-json", table]
    assert main(["compare-structures", *(str(x) for x in arguments)]) == 0
    result = json.loads(table.read_text())
    assert [row["structure"] for row in result["rows"]] == ["unstructured", "shape"]
    for row in result["rows"]:
        assert row["accuracy"] >= result["baseline_accuracy"] - 0.2
    assert result["settings"]["refitted_on"] > 0


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--calibration", "X", "--lr", "0.1"], "--lr needs --data"),
        (["--calibration", "X", "--checkpoint", "c"], "--checkpoint has no effect without --data"),
        (["--calibration", "X", "--plot-training", "c.png"], "--plot-training has no effect"),
        (["--samples", "9"], "--samples has no effect without --calibration"),
    ],
)
def test_bad_flags(
    files: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    told: str,
) -> None:
    given = [str(files[1]) if flag == "X" else flag for flag in flags]
    output = tmp_path / "out.onnx"
    assert main(["compress", str(files[0]), "--keep", "50%", "-o", str(output), *given]) == 2
    assert told in " ".join(capsys.readouterr().err.split())
    assert not output.exists()
