"""`compress` and `compare-structures` from pictures alone: nothing is trained."""

from __future__ import annotations

import json
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reporters import Recorder
from small_models import undecided_net

from alcs_onnx.api import compress
from alcs_onnx.cli import main
from alcs_onnx.codebooks import get_codebook, quantize
from alcs_onnx.graph import Model, conv_layers, load_model, loadable, save_model
from alcs_onnx.pipeline.common.evidence import Judging, Subject, gather
from alcs_onnx.pipeline.common.workload import Measuring, open_workload
from alcs_onnx.pipeline.compress import CompressionResult, CompressOptions, CompressRequest
from alcs_onnx.pipeline.compress.run import open_run
from alcs_onnx.posttraining import layers, weights_of
from alcs_onnx.structures import STRUCTURES, largest_groups, structure_sequence

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


def masked(model: Model, structure: str, share: float) -> Model:
    """The largest groups of each layer, as they are."""
    [kind], arrays = structure_sequence(structure, 4), {}
    for layer in conv_layers(model):
        if layer.group == 1:
            weight = np.asarray(model.initializers[layer.weight])
            count = round(share * prod(kind.mask_shape(layer)))
            keep = kind.weight_mask(largest_groups(kind, weight, layer, count), layer)
            arrays[layer.weight] = weight * keep
    return model.with_initializers(arrays)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_every_structure_loses_less_than_by_its_largest_groups(
    files: tuple[Path, Path], tmp_path: Path, structure: str
) -> None:
    dense = load_model(files[0])
    wanted = [f"{x.name}=60%" for x in conv_layers(dense) if x.group == 1]
    result, _ = compressed(files, tmp_path / "out.onnx", *wanted, structure=structure)
    [row] = result.rows
    assert row.epochs == ()
    assert row.prune_rate is not None
    assert row.prune_rate >= 1.4
    assert row.fidelity is not None
    assert row.fidelity.relative_error < 0.8 * error_of(files, masked(dense, structure, 0.6))
    for layer in row.layers:
        assert layer.kept_error is not None
        assert layer.error is not None
        assert layer.error <= layer.kept_error + 1e-6


@pytest.mark.parametrize(
    ("levels", "options"),
    [("binary", {}), ("3bit", {"per_channel": True}), ("3bit", {"plain": True})],
)
def test_written_weights_are_levels_and_zeros(
    files: tuple[Path, Path], tmp_path: Path, levels: str, options: dict[str, bool]
) -> None:
    result, _ = compressed(
        files, tmp_path / "out.onnx", "50%", structure="unstructured", levels=levels, **options
    )
    assert result.rows[0].quantization == levels
    written = load_model(tmp_path / "out.onnx")
    for layer in conv_layers(written):
        weight = weights_of(written, layer)
        rows = weight.reshape(len(weight), -1) if "per_channel" in options else weight[None]
        for row in rows:
            assert len(np.unique(np.abs(row[row != 0]))) <= (1 if levels == "binary" else 3)
    assert (result.rows[0].prune_rate or 0) > 1.8


def test_levels_lose_less_than_the_nearest(files: tuple[Path, Path], tmp_path: Path) -> None:
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
    told = Recorder()
    options = CompressOptions("filter+unstructured", ("filter:60%", "unstructured:50%"))
    judging = Judging(pictures=str(files[1]))
    request = CompressRequest(
        model=files[0], output=tmp_path / "out.onnx", options=options, judging=judging,
        measuring=QUICK,
    )  # fmt: skip
    compressor = open_run(request, told).compressor()
    states = [compressor.start()]
    structures = structure_sequence(options.structure, 4)
    for structure, targets in zip(structures, options.targets(structures), strict=True):
        states.append(compressor.prune(states[-1], structure, targets))
    states.append(compressor.quantize(states[-1], get_codebook("3bit")))
    gone = {name: ~mask for name, mask in states[1].vectors.items()}
    assert any(mask.any() for mask in gone.values())
    for before, after in pairwise(states[1:]):
        for name, mask in before.keep.items():
            assert not (after.keep[name] & ~mask).any()
            assert not after.weights[compressor.layers[name].weight][~after.keep[name]].any()
        for name, mask in gone.items():
            assert not after.weights[name][mask].any()
    assert not any("zero on all pictures" in note for note in told.notes)


def test_zeros_of_the_file_stay_so_in_layers_that_take_no_part_too(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    dense = load_model(files[0])
    [last] = [n for n in dense.nodes if n.is_op("Gemm", "MatMul")]
    weight = np.array(dense.initializers[last.inputs[1]])
    weight[::2] = 0
    save_model(dense.with_initializers({last.inputs[1]: weight}), tmp_path / "zeros.onnx")
    compressed((tmp_path / "zeros.onnx", files[1]), tmp_path / "out.onnx", levels="4bit")
    written = load_model(tmp_path / "out.onnx")
    [last] = [n for n in written.nodes if n.is_op("Gemm", "MatMul")]
    found = np.asarray(written.initializers[last.inputs[1]])
    assert not found[weight == 0].any()
    assert found.any()


def test_layers_that_cannot_be_refitted_keep_their_largest_weights(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layers, "_MOST_COLUMNS", 27)
    _, notes = compressed(files, tmp_path / "out.onnx", "50%", structure="unstructured")
    [note] = [note for note in notes if "cannot be refitted" in note]
    assert note.endswith("chosen by the weights alone")
    dense, written = (load_model(path) for path in (files[0], tmp_path / "out.onnx"))
    kept = {x.name: weights_of(written, x) for x in conv_layers(written)}
    large = [x for x in conv_layers(dense) if x.columns > 27 and x.name in kept]
    assert large
    for layer in large:
        weight = np.asarray(dense.initializers[layer.weight])
        there = kept[layer.name] != 0
        np.testing.assert_allclose(kept[layer.name][there], weight[there], rtol=1e-6)
        assert np.abs(weight[there]).min() >= np.abs(weight[~there]).max()


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
        (["--checkpoint", "c"], "--checkpoint has no effect without --data"),
        (["--calibration", "X", "--augment", "flip"], "--augment has no effect without --data"),
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
