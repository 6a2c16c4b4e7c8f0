"""Real models: loading keeps their outputs, cleans them, and is quick."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from graph_helpers import assert_same, run

from alcs_onnx.graph import (
    Model,
    conv_layers,
    load_model,
    model_macs,
    save_model,
    serialize,
    skipped_convs,
)
from alcs_onnx.rewrite import compile_sparse, rewrite

SHAPES = {"ppocrv4_det.onnx": {"x": (1, 3, 320, 320)}}
#: Conv nodes, and the MACs of the model in millions as counted by hand or by others.
MODELS = {
    "FastestDet.onnx": 70,
    "efficientnet-lite0.onnx": 49,
    "efficientnet-lite0_legacy.onnx": 49,
    "mobilenetv2.onnx": 52,
    "open-nsfw.onnx": 53,
    "ppocrv4_det.onnx": 62,
    "resnet20_cifar.onnx": 19,
    "superresolution.onnx": 4,
    "yolox_common_det.onnx": 83,
    "yunet_n_640.onnx": 59,
}


def load(shared: Path, name: str) -> Model:
    return load_model(shared / "models" / name, SHAPES.get(name))


def smooth_feeds(loaded: Model, seed: int) -> dict[str, np.ndarray]:
    """Inputs like images: a low-frequency pattern in [-1, 1] with a little noise."""
    rng = np.random.default_rng(seed)
    feeds = {}
    for info in loaded.inputs:
        axes = np.meshgrid(*(np.linspace(0, 3, n) for n in info.shape), indexing="ij")
        wave = np.sin(sum(a * rng.uniform(1, 3) for a in axes))
        feeds[info.name] = (wave + 0.1 * rng.standard_normal(info.shape)).astype(np.float32)
    return feeds


@pytest.mark.parametrize("name", MODELS)
def test_outputs_are_kept(shared: Path, name: str, seed: int) -> None:
    loaded = load(shared, name)
    assert len(conv_layers(loaded)) == MODELS[name]
    assert not skipped_convs(loaded)
    feeds = smooth_feeds(loaded, seed)
    expected = run(shared / "models" / name, feeds)
    assert_same(run(serialize(loaded), feeds), expected)
    result = rewrite(loaded)
    written = serialize(result.model)
    onnx.checker.check_model(written, full_check=True)
    assert_same(run(written, feeds), expected)
    assert result.mac_ratio == 1
    assert [row.layer for row in result.layers] == [layer.name for layer in conv_layers(loaded)]


@pytest.mark.parametrize("name", MODELS)
def test_written_files_load_again(shared: Path, tmp_path: Path, name: str) -> None:
    loaded = load(shared, name)
    save_model(rewrite(loaded).model, tmp_path / "out.onnx")
    again = load_model(tmp_path / "out.onnx", SHAPES.get(name))
    assert [(a.name, a.weight_shape) for a in conv_layers(again)] == [
        (b.name, b.weight_shape) for b in conv_layers(loaded)
    ]
    assert model_macs(again) == model_macs(loaded)
    for old, new in zip(conv_layers(loaded), conv_layers(again), strict=True):
        np.testing.assert_array_equal(
            loaded.initializers[old.weight], again.initializers[new.weight]
        )
    assert len(compile_sparse(again).layers) == MODELS[name]


def test_legacy_exporter_leaves_no_trace(shared: Path) -> None:
    """450 nodes with dynamic Pad chains become the network that the new exporter writes."""
    new = Counter(n.op_type for n in load(shared, "efficientnet-lite0.onnx").nodes)
    old = Counter(n.op_type for n in load(shared, "efficientnet-lite0_legacy.onnx").nodes)
    assert old - new == Counter({"GlobalAveragePool": 1})
    assert new - old == Counter({"ReduceMean": 1})


def test_macs_of_known_networks(shared: Path) -> None:
    assert model_macs(load(shared, "mobilenetv2.onnx")) == pytest.approx(300.8e6, rel=1e-3)
    assert model_macs(load(shared, "resnet20_cifar.onnx")) == pytest.approx(40.55e6, rel=1e-3)


def test_dynamic_batch_of_a_real_model(shared: Path, seed: int) -> None:
    loaded = load(shared, "resnet20_cifar.onnx")
    x = smooth_feeds(loaded, seed)["image"]
    batch = np.concatenate([x, -x, 0.5 * x])
    written = serialize(rewrite(loaded).model)
    expected = run(shared / "models" / "resnet20_cifar.onnx", {"image": batch})
    assert_same(run(written, {"image": batch}), expected)


def test_loading_is_quick(shared: Path) -> None:
    """Well below a second here; the bound leaves room for a busy machine."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        load(shared, "efficientnet-lite0.onnx")
        times.append(time.perf_counter() - start)
    assert min(times) < 1, times
