"""Channel pruning of whole networks: random channels of every group go, and nothing else changes.

What is removed from each model is proved to be what its consumers ignored: see
`coupling_helpers.assert_shrinks`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from coupling_helpers import (
    assert_close,
    assert_shrinks,
    conv_share,
    feeds,
    prunable,
    random_keep,
    run,
)
from graph_helpers import assert_same, feed, run_each, store
from pruned_files import with_ignored_channels
from zoo import NETWORKS, OPEN_SIZES
from zoo.handmade import GRAPHS
from zoo.weights import deep_residual, unknown_operator

from alcs_onnx import coupling
from alcs_onnx.graph import Model, load_model, model_macs, serialize
from alcs_onnx.rewrite.shrink import shrink

#: Models of the shared folder, and the shapes of inputs that they leave open.
SHARED: dict[str, dict[str, tuple[int, ...]]] = {
    "FastestDet.onnx": {},
    "efficientnet-lite0.onnx": {},
    "efficientnet-lite0_legacy.onnx": {},
    "mobilenetv2.onnx": {},
    "open-nsfw.onnx": {},
    "ppocrv4_det.onnx": {"x": (1, 3, 96, 96)},
    "resnet20_cifar.onnx": {},
    "superresolution.onnx": {},
    "yolox_common_det.onnx": {},
    "yunet_n_640.onnx": {},
}
#: Models of which less than 90 % of the channels of convolutions can go: the least share that
#: must be prunable, and a word of each reason that is told for the rest.
LESS: dict[str, tuple[float, tuple[str, ...]]] = {
    "squeezenet": (0.74, ("graph output",)),  # its last convolution makes the classes
    # Cut so often that few channels of the first convolution take the same ways.
    "slices": (0.80, ("single channel",)),
    "gather_one": (0.60, ("Gather",)),
    "depth_to_space": (0.80, ("graph output",)),
    "depth_to_space_crd": (0.80, ("graph output",)),
    # A place in each of three groups is every place after the shuffle.
    "shuffle_of_three": (0.60, ("linked to one another",)),
    "softmax": (0.75, ("Softmax",)),
    "tied_to_output": (0.70, ("graph output",)),
}


def read(content: bytes, folder: Path) -> Model:
    path = folder / "model.onnx"
    path.write_bytes(content)
    return load_model(path)


def prove(name: str, model: Model, rng: np.random.Generator) -> None:
    analysed, small = assert_shrinks(model, rng)
    share, reasons = conv_share(model, analysed)
    least, words = LESS.get(name, (0.9, ()))
    assert share >= least, f"only {share:.1%} prunable: {reasons}"
    assert share < 0.9 or name not in LESS, f"{name} needs no exception: {share:.1%} prunable"
    if name in LESS:
        for node, reason in reasons.items():
            assert any(word in reason for word in words), f"{node}: {reason}"
    assert all(reasons.values()), f"frozen without a reason: {reasons}"
    for group in analysed.groups:
        if group not in prunable(analysed) and group.channels > 1:
            assert len(group.frozen) > 8, f"{group.name} is frozen without a reason"
    assert model_macs(small) < model_macs(model)
    assert small.weight_bytes < model.weight_bytes


@pytest.mark.parametrize("name", SHARED)
def test_shared_model(shared: Path, name: str, rng: np.random.Generator) -> None:
    prove(name, load_model(shared / "models" / name, SHARED[name]), rng)


@pytest.mark.parametrize("name", NETWORKS)
def test_torch_network(
    name: str, torch_network: Callable[..., bytes], tmp_path: Path, rng: np.random.Generator
) -> None:
    prove(name, read(torch_network(name), tmp_path), rng)


@pytest.mark.parametrize("name", NETWORKS)
def test_torch_network_at_open_sizes(
    name: str, torch_network: Callable[..., bytes], tmp_path: Path, rng: np.random.Generator
) -> None:
    """With fewer channels it computes what its own file does where zeros take their place."""
    file = onnx.load_from_string(torch_network(name, open_sizes=True))
    model = load_model(store(file, tmp_path), {"x": OPEN_SIZES[0]})
    analysed = coupling.analyse(model)
    keep = random_keep(analysed, rng)
    small = serialize(shrink(model, analysed, keep))
    ignoring = with_ignored_channels(file, analysed, keep).SerializeToString()
    images = [feed(shape, rng) for shape in OPEN_SIZES]
    expected = run_each(ignoring, images, optimise=False)
    for outputs, others in zip(run_each(small, images), expected, strict=True):
        assert_same(outputs, others)


def test_every_torch_network_is_tested() -> None:
    pytest.importorskip("torch")
    from zoo import torch_models

    assert set(torch_models.NETWORKS) == set(NETWORKS)


@pytest.mark.parametrize("name", GRAPHS)
def test_handmade_graph(name: str, tmp_path: Path, rng: np.random.Generator) -> None:
    prove(name, read(GRAPHS[name]().SerializeToString(), tmp_path), rng)


def test_unknown_operator_freezes_what_it_touches(tmp_path: Path, rng: np.random.Generator) -> None:
    model = read(unknown_operator().SerializeToString(), tmp_path)
    analysed, small = assert_shrinks(model, rng, runs=False)
    _, reasons = conv_share(model, analysed)
    assert set(reasons) == {"before"}
    assert "Mystery" in reasons["before"]
    assert small.initializers["before.w"].shape == (8, 6, 3, 3)  # its inputs may go
    assert small.initializers["after.w"].shape == (28, 8, 3, 3)


def test_deep_graph(tmp_path: Path, rng: np.random.Generator) -> None:
    """500 nodes: the residual sums are one group, the inside of each block its own."""
    model = read(deep_residual(100).SerializeToString(), tmp_path)
    assert len(model.nodes) > 500
    analysed = coupling.analyse(model)
    sizes = {group.name: group.channels for group in prunable(analysed)}
    assert sizes == {"stem": 8, **{f"a{index}": 8 for index in range(100)}}
    reasons = {group.frozen for group in analysed.groups if group.frozen}
    assert all("graph output" in reason or "graph input" in reason for reason in reasons)


def test_keeping_everything_changes_nothing(tmp_path: Path, rng: np.random.Generator) -> None:
    model = read(GRAPHS["shuffle_of_three"]().SerializeToString(), tmp_path)
    analysed = coupling.analyse(model)
    keep = {group.name: np.ones(group.channels, bool) for group in analysed.groups}
    values = feeds(model, rng)
    for chosen in ({}, keep):
        small = shrink(model, analysed, chosen)
        assert model_macs(small) == model_macs(model)
        assert_close(run(small, values), run(model, values), "unpruned")


@pytest.mark.parametrize("name", ["splits", "pad_shortcut", "flatten_gemm", "transposed"])
def test_one_channel_left(name: str, tmp_path: Path, rng: np.random.Generator) -> None:
    """Nearly everything goes, in each group, and the rest still computes the same."""
    model = read(GRAPHS[name]().SerializeToString(), tmp_path)
    assert_shrinks(model, rng, share=1.0)


@pytest.mark.parametrize("name", ["shuffle_of_three", "splits", "batch_norm", "transposed"])
def test_shrinking_twice(name: str, tmp_path: Path, rng: np.random.Generator) -> None:
    """A shrunk model is a model like any other: it loads, and can be shrunk again."""
    model = read(GRAPHS[name]().SerializeToString(), tmp_path)
    _, small = assert_shrinks(model, rng)
    again = read(serialize(small), tmp_path)
    _, smaller = assert_shrinks(again, rng)
    assert model_macs(smaller) < model_macs(again) < model_macs(model)


@pytest.mark.parametrize(
    "name",
    ["shuffle_of_three", "splits", "pad_shortcut", "flatten_matmul", "channels_last"],
)
def test_dynamic_batch_survives(name: str, tmp_path: Path, rng: np.random.Generator) -> None:
    """A model with a symbolic batch, shrunk, still runs on several images at once."""
    proto = GRAPHS[name]()
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"
    model = read(proto.SerializeToString(), tmp_path)
    _, small = assert_shrinks(model, rng)
    written = small
    images = rng.standard_normal((3, *model.inputs[0].shape[1:])).astype(np.float32)
    (together,) = run(written, {"x": images})
    alone = np.concatenate([run(small, {"x": image[None]})[0] for image in images])
    assert_close([together], [alone], "batch of three")
