"""`compress` and `compare-structures` on a small network, from the command line and Python."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from reporters import Recorder

from alcs_onnx.reporter import SILENT

pytest.importorskip("torch")

from compress_helpers import QUICK, SCHEDULE, compress, without_seconds
from small_models import labelled_images, residual_net

from alcs_onnx import api
from alcs_onnx.cli import main
from alcs_onnx.codebooks import get_codebook
from alcs_onnx.errors import DivergedError
from alcs_onnx.graph import conv_layers, load_model
from alcs_onnx.pipeline.common.evidence import Judging, Subject, gather
from alcs_onnx.pipeline.common.training import Training, open_trainer
from alcs_onnx.pipeline.common.workload import Measuring, open_workload
from alcs_onnx.pipeline.compare_structures import SearchOptions
from alcs_onnx.pipeline.compare_structures.search import search
from alcs_onnx.pipeline.compress import CompressOptions
from alcs_onnx.pipeline.compress.compressor import Compressor
from alcs_onnx.pipeline.compress.state import Compressed
from alcs_onnx.pipeline.compress.trained import ByTraining
from alcs_onnx.solve import KeepTarget
from alcs_onnx.structures import STRUCTURES, structure_sequence


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return residual_net(tmp_path_factory.mktemp("model") / "net.onnx", width=16, size=24)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return labelled_images(tmp_path_factory.mktemp("data") / "images.npz", size=24)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_every_structure_is_pruned_quantized_and_written(network, images, tmp_path, structure):
    result = compress(
        network, images, tmp_path / "out.onnx",
        "--structure", structure, "--keep", "4x", "--quantize", "3bit",
    )  # fmt: skip
    [row] = result["rows"]
    assert row["prune_rate"] >= 3.5
    assert row["quantization"] == "3bit"
    assert row["relative_bytes"] >= row["weight_bytes"] > 0
    assert row["latency_ms"] > 0
    before, after = load_model(network), load_model(tmp_path / "out.onnx")
    left = 0
    for written in conv_layers(after):
        weight = after.initializers[written.weight]
        assert np.unique(np.abs(weight[weight != 0]).round(6)).size <= 3
        left += int(np.count_nonzero(weight))
    total = sum(layer.weight_count for layer in conv_layers(before))
    assert left <= row["kept_weights"] <= total / 3.5
    # The file holds no float weights of the convolutions: packed streams are bytes.
    graph = onnx.load(tmp_path / "out.onnx").graph
    streams = [t for t in graph.initializer if t.name.endswith((".codes", ".gaps"))]
    if row["kind"] == "indexed":  # a byte more for each stream whose last one is not full
        stored = sum(len(t.raw_data) for t in streams)
        assert row["relative_bytes"] <= stored <= row["relative_bytes"] + len(streams)
    assert all(t.data_type == onnx.TensorProto.UINT8 for t in streams)
    assert (tmp_path / "out.onnx").stat().st_size < network.stat().st_size / 2


def test_a_combination_removes_the_channels_that_nobody_makes(network, images, tmp_path):
    result = compress(
        network, images, tmp_path / "out.onnx",
        "--structure", "shape+filter", "--keep", "shape:50%", "filter:50%", "--rounds", "2",
    )  # fmt: skip
    [row] = result["rows"]
    assert row["kind"] == "full matrix"
    assert row["quantization"] == "float32"
    assert len(row["history"]) == 4
    before, after = load_model(network), load_model(tmp_path / "out.onnx")
    narrower = [
        b.out_channels > a.out_channels
        for b, a in zip(conv_layers(before), conv_layers(after), strict=True)
    ]
    assert any(narrower)


def test_levels_alone(network, images, tmp_path):
    result = compress(network, images, tmp_path / "b.onnx", "--quantize", "binary", "--per-channel")
    [row] = result["rows"]
    assert row["bits"] == 1
    assert row["prune_rate"] == 1
    assert row["compress_rate"] == pytest.approx(32, rel=0.02)
    assert row["scale_bytes"] > 0


def test_ordinary_onnx_runs_anywhere(network, images, tmp_path):
    """Weights of 8 bits behind DequantizeLinear, in ONNX Runtime without the library."""
    result = compress(
        network, images, tmp_path / "p.onnx", "--keep", "2x", "--quantize", "8bit", "--plain"
    )
    assert result["rows"][0]["bits"] == 8
    nodes = onnx.load(tmp_path / "p.onnx").graph.node
    assert all(node.domain == "" for node in nodes)
    count = sum(node.op_type == "DequantizeLinear" for node in nodes)
    assert count == len(conv_layers(load_model(network)))
    session = onnxruntime.InferenceSession(tmp_path / "p.onnx", providers=["CPUExecutionProvider"])
    x = np.random.default_rng(0).standard_normal((1, 3, 24, 24)).astype(np.float32)
    assert np.isfinite(session.run(None, {session.get_inputs()[0].name: x})[0]).all()


def compare(network: Path, images: Path, folder: Path, *flags: str) -> dict:
    arguments = [
        "compare-structures", network, "--data", images, "--structures", "unstructured", "shape",
        "--tolerance", "60", "--rounds", "2", "--factor", "3", "--quantize", "ternary", "3bit",
        "--checkpoint", folder / "ck", "-o", folder / "models", "--export-json", folder / "r.json",
        "--plot", folder / "r.png", "--details", *QUICK, *SCHEDULE, *flags,
    ]  # fmt: skip
    assert main([str(x) for x in arguments]) == 0
    return json.loads((folder / "r.json").read_text())


def test_structures_are_compared_and_an_interrupted_comparison_resumes(network, images, tmp_path):
    pytest.importorskip("matplotlib")
    first = compare(network, images, tmp_path)
    assert [row["structure"] for row in first["rows"]] == ["unstructured", "shape"]
    for row in first["rows"]:
        assert row["accuracy"] >= first["baseline_accuracy"] - 0.6
        assert row["ppr"] == pytest.approx(row["prune_rate"] / row["speedup"])
        assert (tmp_path / "models" / f"{row['structure']}.onnx").is_file()
    assert (tmp_path / "r.png").read_bytes().startswith(b"\x89PNG")
    for path in sorted((tmp_path / "ck" / "shape").rglob("*.pt"))[-3:]:
        path.unlink()
    again = compare(network, images, tmp_path, "--resume")
    for one, other in zip(first["rows"], again["rows"], strict=True):
        for key in ("accuracy", "kept_weights", "relative_bytes"):
            assert one[key] == other[key]
        assert without_seconds(one["history"]) == without_seconds(other["history"])


@pytest.fixture(scope="module")
def untrained(network: Path, images: Path) -> Compressor:
    """A compressor that prunes without training."""
    model = load_model(network)
    config = {"admm_epochs": 0, "finetune_epochs": 0, "threads": 1}
    trainer = open_trainer(model, Training(str(images), config=config), 0, SILENT)
    workload = open_workload(network, simd_group=4, measuring=Measuring(), seed=0, reporter=SILENT)
    subject = Subject.of(workload)
    way = ByTraining(trainer, gather(subject, Judging(), trainer, SILENT), None)
    return Compressor(model, conv_layers(model), way)


@pytest.mark.parametrize(
    "names", list(permutations(["unstructured", "simd", "shape", "filter"], 2)), ids="+".join
)
def test_two_structures_together_reach_their_target(untrained, names):
    """Shares are of the groups that the first structure left, in every round."""
    structures = structure_sequence("+".join(names), 4)
    start = state = untrained.start()
    options = CompressOptions("+".join(names), keep=("16x",))
    for structure, targets in zip(structures, options.targets(structures), strict=True):
        base = state
        for share in (0.5, 1.0):
            state = untrained.prune(state, structure, targets, share, base)
    # Whole groups only, and every layer keeps one; weights may share what is left unevenly.
    assert 8 <= start.kept / state.kept <= 32


def test_checkpoints_may_be_named_by_a_text(network, images, tmp_path):
    config = {"admm_epochs": 0, "finetune_epochs": 0, "threads": 1}
    folder: Any = str(tmp_path / "ck")
    training = Training(str(images), config=config, checkpoint=folder)
    options = CompressOptions(keep=("2x",))
    result = api.compress(
        network, tmp_path / "o.onnx", training, options=options, measuring=Measuring(iterations=3)
    )
    assert result.data == str(images)


def test_biases_of_removed_filters_stay_gone_in_later_steps(untrained):
    filters, columns = structure_sequence("filter+shape", 4)
    state = untrained.prune(untrained.start(), filters, [KeepTarget.parse("50%")])
    assert not all(mask.all() for mask in state.vectors.values())
    state = untrained.prune(state, columns, [KeepTarget.parse("50%")])
    for name, mask in state.vectors.items():
        assert (state.weights[name][~mask] == 0).all()
    state = untrained.quantize(state, get_codebook("3bit"))
    for name, mask in state.vectors.items():
        assert (state.weights[name][~mask] == 0).all()


def test_a_step_that_diverges_is_one_that_failed():
    class Diverges(_Steps):
        def prune(self, state, structure, targets):
            if targets[0].value < 200:
                raise DivergedError("training diverged: the loss is nan")
            return super().prune(state, structure, targets)

    start, told = Compressed(1.0, "accuracy", {}, {"a": np.ones(1000, bool)}), Recorder()
    compressor: Any = Diverges()
    state, _ = search(
        compressor,
        start,
        structure_sequence("shape", 4),
        0.8,
        SearchOptions(rounds=3, factor=4, levels=()),
        told,
    )
    assert state.kept == 250
    assert any("diverged" in line and line.endswith("undone") for line in told.notes)


class _Steps:
    """A compressor whose accuracy falls as weights go: what the search makes of it is plain."""

    def prune(self, state, structure, targets):
        kept = int(targets[0].value)
        return Compressed(0.9 if kept >= 100 else 0.5, "accuracy", {}, {"a": np.ones(kept, bool)})

    def quantize(self, state, levels, *, per_channel):
        return Compressed(
            0.9 if state.kept >= 300 else 0.6, "accuracy", {}, state.keep, {"a": levels}
        )


def test_the_search_halves_its_steps_and_goes_back_where_levels_fail():
    start, told = Compressed(1.0, "accuracy", {}, {"a": np.ones(1000, bool)}), Recorder()
    options = SearchOptions(rounds=6, factor=4, levels=("3bit",))
    compressor: Any = _Steps()
    state, trials = search(compressor, start, structure_sequence("shape", 4), 0.8, options, told)
    pruned = [(x.kept, x.accepted) for x in trials if x.step != "3bit"]
    # 1000 / 4, then / 4 fails, / 2 holds, / 2 fails, / 1.41 fails where less than 100 are left.
    assert pruned[:4] == [(250, True), (62, False), (125, True), (62, False)]
    assert state.kept == 1000  # neither 250 nor fewer can be quantized at that accuracy
    assert state.quantized
    assert any("no quantization keeps" in line for line in told.notes)
