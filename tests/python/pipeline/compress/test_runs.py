"""Runs of `compress` to their end: the written file, interruptions, and depthwise layers."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

pytest.importorskip("torch")

from compress_helpers import compress, without_seconds
from small_models import CLASSES, labelled_images, residual_net
from train_models import InterruptedRunError, StopAfter
from zoo.builder import Builder

from alcs_onnx import get_library_path
from alcs_onnx.graph import conv_layer, conv_layers, load_model, save_model
from alcs_onnx.pipeline.common.training import Training
from alcs_onnx.pipeline.common.workload import Measuring
from alcs_onnx.pipeline.compress import CompressionResult, CompressOptions, CompressRequest
from alcs_onnx.pipeline.compress import compress as compress_model

#: Enough for the images to be told apart.
LONGER = ["--batch-size", "16", "--lr", "0.002", "--admm-epochs", "2", "--finetune-epochs", "4"]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return residual_net(tmp_path_factory.mktemp("model") / "net.onnx", width=16, size=24)


@pytest.fixture(scope="module")
def separable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pointwise convolutions around a depthwise one, which is never pruned."""
    builder = Builder()
    x = builder.relu(builder.conv("stem", builder.input(["N", 3, 24, 24]), 3, 16))
    x = builder.relu(builder.conv("wide", x, 16, 32, 1))
    x = builder.relu(builder.conv("depthwise", x, 32, 32, group=32))
    x = builder.relu(builder.conv("narrow", x, 32, 16, 1))
    path = tmp_path_factory.mktemp("model") / "separable.onnx"
    onnx.save(builder.proto(builder.head(x, 16, CLASSES)), path)
    return path


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return labelled_images(tmp_path_factory.mktemp("data") / "images.npz", size=24)


def accuracy(path: Path, images: Path) -> float:
    """Top-1 of a written file in ONNX Runtime with the library, as an application would run it."""
    options = onnxruntime.SessionOptions()
    options.register_custom_ops_library(str(get_library_path()))
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    with np.load(images) as archive:
        x = (archive["x_test"] / np.float32(255)).transpose(0, 3, 1, 2)
        classes = session.run(None, {session.get_inputs()[0].name: np.ascontiguousarray(x)})[0]
        return float((classes.argmax(axis=1) == archive["y_test"]).mean())


@pytest.mark.parametrize("structure", ["simd", "shape+filter"])
def test_the_written_file_is_as_good_as_the_trained_network(network, images, tmp_path, structure):
    result = compress(
        network, images, tmp_path / "out.onnx",
        "--structure", structure, "--keep", "4x", "--quantize", "4bit", *LONGER,
    )  # fmt: skip
    [row] = result["rows"]
    trained = row["history"][-1]["accuracy"]
    assert trained > 1.5 / CLASSES  # it has learnt something: guesses would agree on anything
    # Nothing but a tie of two classes may be decided otherwise, and that for one image.
    assert accuracy(tmp_path / "out.onnx", images) == pytest.approx(trained, abs=1.5 / 48)
    assert row["accuracy"] == accuracy(tmp_path / "out.onnx", images)


def test_every_epoch_of_every_round_is_recorded(network, images, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    drawn = tmp_path / "epochs.svg"
    result = compress(
        network, images, tmp_path / "out.onnx", "--keep", "4x", "--rounds", "2",
        "--quantize", "3bit", "--admm-epochs", "2", "--plot-training", str(drawn),
        "--rho", "1000",
    )  # fmt: skip
    [line] = [x for x in capsys.readouterr().err.splitlines() if "limited to" in x]
    assert line == "rho 1e+03: limited to 10 (SGD would overshoot at lr 0.01, momentum 0.9)"
    rounds = result["rows"][0]["history"]
    assert [tried["step"] for tried in rounds] == ["simd", "simd", "3bit"]
    stages = [[epoch["stage"] for epoch in tried["epochs"]] for tried in rounds]
    assert stages[0] == ["1-admm"] * 2 + ["1-finetune"]
    assert stages[1] == ["2-admm"] * 2 + ["2-finetune"]
    assert stages[2] == ["quantize-admm"] * 2 + [f"quantize-{i}" for i in range(1, 5)]
    for tried in rounds:
        assert tried["epochs"][-1]["metric"] == pytest.approx(tried["accuracy"])
        for epoch in tried["epochs"]:
            in_admm = epoch["stage"].endswith("admm")
            assert np.isfinite(epoch["loss"])
            assert epoch["rho"] == pytest.approx(10 if in_admm else 0)
            for key in ("residual", "dual_residual"):
                assert (epoch[key] > 0) == in_admm
    assert drawn.read_text().startswith("<?xml")


def prune_and_quantize(
    network: Path, images: Path, folder: Path, *, resume: bool = False, epochs: int = 1000
) -> CompressionResult:
    """Two rounds of two iterations and an epoch, then levels; broken off after `epochs`."""
    schedule = {"admm_epochs": 2, "finetune_epochs": 1, "lr": 0.01, "threads": 1}
    request = CompressRequest(
        model=network,
        output=folder / "out.onnx",
        training=Training(str(images), config=schedule, checkpoint=folder / "steps", resume=resume),
        options=CompressOptions(structure="simd", keep=("6x",), rounds=2, levels="3bit"),
        measuring=Measuring(iterations=5, warmup=1),
    )
    return compress_model(request, reporter=StopAfter(epochs))


@pytest.fixture(scope="module")
def uninterrupted(network, images, tmp_path_factory) -> tuple[Path, CompressionResult]:
    folder = tmp_path_factory.mktemp("whole")
    return folder, prune_and_quantize(network, images, folder)


@pytest.mark.parametrize("epochs", [2, 4, 7], ids=["retraining", "second round", "levels"])
def test_an_interrupted_run_resumes_to_the_same_file(
    network, images, uninterrupted, tmp_path, epochs
):
    whole, expected = uninterrupted
    with pytest.raises(InterruptedRunError):
        prune_and_quantize(network, images, tmp_path, epochs=epochs)
    assert not (tmp_path / "out.onnx").exists()
    found = prune_and_quantize(network, images, tmp_path, resume=True)
    assert (tmp_path / "out.onnx").read_bytes() == (whole / "out.onnx").read_bytes()
    [row], [other] = found.rows, expected.rows
    for name in ("accuracy", "kept_weights", "relative_bytes", "quantization"):
        assert getattr(row, name) == getattr(other, name)
    histories = [json.loads(json.dumps([asdict(x) for x in r.history])) for r in (row, other)]
    assert without_seconds(histories[0]) == without_seconds(histories[1])


@pytest.mark.parametrize("structure", ["simd", "filter"])
def test_depthwise_layers_stay_whole(separable, images, tmp_path, structure):
    """They are no part of the targets; of removed filters they lose the channels, no more."""
    result = compress(
        separable, images, tmp_path / "out.onnx",
        "--structure", structure, "--keep", "2x", "--quantize", "4bit", *LONGER,
    )  # fmt: skip
    [row] = result["rows"]
    assert {layer["layer"] for layer in row["layers"]} == {"stem", "wide", "narrow"}
    before, after = load_model(separable), load_model(tmp_path / "out.onnx")
    [old], [new] = (
        [layer for layer in conv_layers(model) if layer.depthwise] for model in (before, after)
    )
    weight, left = before.initializers[old.weight], after.initializers[new.weight]
    if structure == "simd":
        assert left.shape == weight.shape
    else:
        assert 1 <= new.out_channels < old.out_channels
    assert np.count_nonzero(left) == left.size
    assert np.unique(np.abs(left)).size > 8  # not on levels
    assert accuracy(tmp_path / "out.onnx", images) == row["accuracy"]


@pytest.mark.parametrize("structure", ["simd", "unstructured"])
def test_what_a_model_has_pruned_stays_pruned(network, images, tmp_path, structure):
    """A sparse file quantized, and then pruned further: shares are of all weights."""
    model = load_model(network)
    rng = np.random.default_rng(3)
    weights = {x.weight: model.initializers[x.weight] for x in conv_layers(model)}
    sparse = {n: np.where(rng.random(w.shape) < 0.4, 0, w) for n, w in weights.items()}
    save_model(model.with_initializers(sparse), tmp_path / "sparse.onnx")
    for number, flags in enumerate([[], ["--keep", "30%"]]):
        out = tmp_path / f"{number}.onnx"
        result = compress(
            tmp_path / "sparse.onnx", images, out,
            "--structure", structure, "--quantize", "3bit", *flags,
        )  # fmt: skip
        written = load_model(out)
        for layer in conv_layers(model):
            found = written.initializers[conv_layer(written, layer.name).weight]
            assert not found[sparse[layer.weight] == 0].any()
        kept = result["rows"][0]["kept_weights"]
        total = sum(w.size for w in weights.values())
        limit = total if structure == "simd" else sum(int((w != 0).sum()) for w in sparse.values())
        assert kept <= limit * 1.001
        if flags:
            assert kept <= 0.31 * total
