"""Fully connected layers as convolutions: same outputs, Conv layers, nothing left in between."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from coupling_helpers import assert_shrinks
from graph_helpers import assert_same, model, op, run, store
from small_models import residual_net
from zoo.handmade import GRAPHS

from alcs_onnx import Measuring, optimize
from alcs_onnx.cli import main
from alcs_onnx.graph import (
    Model,
    as_convolutions,
    conv_layer,
    conv_layers,
    load_model,
    model_macs,
    serialize,
)
from alcs_onnx.reporter import NoteKeeper
from alcs_onnx.rewrite import random_model, rewrite
from alcs_onnx.sparse_format import OP_DOMAIN

Rng = np.random.Generator
IMAGE = (1, 3, 8, 8)
#: Of the shared models those with fully connected layers, and how many.
SHARED = {
    "efficientnet-lite0": 1,
    "efficientnet-lite0_legacy": 1,
    "mobilenetv2": 1,
    "open-nsfw": 1,
    "resnet20_cifar": 1,
}
#: Graphs that hold no fully connected layer which can be converted.
UNCHANGED = {
    "depth_to_space", "depth_to_space_crd", "quantized_weights", "shared_head", "transposed",
}  # fmt: skip
TORCH = ["densenet121", "googlenet", "mobilenet_v3", "regnet_y"]


def normal(rng: Rng, *shape: int) -> np.ndarray:
    scale = np.sqrt(shape[0]) if shape else 1
    return np.asarray(rng.standard_normal(shape) / scale, np.float32)


def load(folder: Path, nodes: list, weights: dict, shape=IMAGE, **kwargs) -> Model:
    """`nodes` behind a convolution that gives `c` [N, 6, 4, 4]."""
    stem = op("Conv", "x stem.w", "c", "stem", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    weights = {"stem.w": normal(np.random.default_rng(0), 6, 3, 3, 3), **weights}
    return load_model(store(model([stem, *nodes], weights, shape, **kwargs), folder))


def pooled() -> list:
    """`p` [N, 6]: the mean of each channel of `c`."""
    return [op("GlobalAveragePool", "c", "g"), op("Flatten", "g", "p")]


def feeds(loaded: Model, rng: Rng, batch: int = 1) -> dict[str, np.ndarray]:
    return {
        info.name: rng.standard_normal((batch * info.shape[0], *info.shape[1:])).astype(info.dtype)
        for info in loaded.inputs
    }


def convert(loaded: Model, rng: Rng) -> Model:
    """The converted model, after proof that it is valid and computes the same."""
    converted = as_convolutions(loaded)
    written = serialize(converted)
    onnx.checker.check_model(written, full_check=True)
    values = feeds(loaded, rng)
    expected = run(serialize(loaded), values, optimise=False)
    assert_same(run(written, values, optimise=False), expected, 1e-5)
    assert converted.outputs == loaded.outputs
    assert converted.inputs == loaded.inputs
    return converted


def counts(loaded: Model) -> Counter[str]:
    return Counter(node.op_type for node in loaded.nodes)


# -- one layer ---------------------------------------------------------------------------------

LAYERS = {
    "gemm": (op("Gemm", "p w b", "y", "fc"), (6, 5), (5,)),
    "transposed weight": (op("Gemm", "p w b", "y", "fc", transB=1), (5, 6), (5,)),
    "scaled": (op("Gemm", "p w b", "y", "fc", alpha=0.5, beta=-3.0), (6, 5), (5,)),
    "scaled, transposed": (op("Gemm", "p w b", "y", "fc", alpha=2.5, transB=1), (5, 6), (1, 5)),
    "no bias": (op("Gemm", "p w", "y", "fc"), (6, 5), None),
    "scalar bias": (op("Gemm", "p w b", "y", "fc", beta=2.0), (6, 5), ()),
    "bias of one": (op("Gemm", "p w b", "y", "fc"), (6, 5), (1,)),
    "single output": (op("Gemm", "p w b", "y", "fc"), (6, 1), (1,)),
    "matmul": (op("MatMul", "p w", "y", "fc"), (6, 5), None),
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("batch", [1, 4, "N"])
def test_one_layer(name: str, batch: int | str, tmp_path: Path, rng: Rng) -> None:
    node, weight, bias = LAYERS[name]
    weights = {"w": normal(rng, *weight)}
    if bias is not None:
        weights["b"] = normal(rng, *bias)
    loaded = load(tmp_path, [*pooled(), node], weights, (batch, 3, 8, 8))
    converted = convert(loaded, rng)
    layer = conv_layer(converted, "fc")
    outputs = 1 if name == "single output" else 5
    assert layer.weight == "fc.weight"
    assert layer.weight_shape == (outputs, 6, 1, 1)
    assert model_macs(converted) == model_macs(loaded)
    # What pooling gives is read as it is; one node goes back to [N, M].
    assert counts(converted) == Counter(Conv=2, GlobalAveragePool=1, Flatten=1)


@pytest.mark.parametrize("order", ["m b", "b m"])
def test_added_bias_is_folded(order: str, tmp_path: Path, rng: Rng) -> None:
    nodes = [*pooled(), op("MatMul", "p w", "m", "fc"), op("Add", order, "y")]
    loaded = load(tmp_path, nodes, {"w": normal(rng, 6, 5), "b": normal(rng, 5)})
    converted = convert(loaded, rng)
    assert conv_layer(converted, "fc").bias
    assert "Add" not in counts(converted)


def test_bias_of_two_layers_keeps_its_value(tmp_path: Path, rng: Rng) -> None:
    nodes = [
        *pooled(),
        op("Gemm", "p w b", "h", "one", beta=2.0),
        op("Gemm", "h v b", "y", "two", beta=3.0),
    ]
    weights = {"w": normal(rng, 6, 5), "v": normal(rng, 5, 5), "b": normal(rng, 5)}
    converted = convert(load(tmp_path, nodes, weights), rng)
    one, two = (converted.initializers[conv_layer(converted, n).bias or ""] for n in ("one", "two"))
    np.testing.assert_allclose(one / 2, two / 3, rtol=1e-6)


# -- what stands in front ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "flatten",
    [
        [op("Flatten", "c", "f")],
        [op("Reshape", "c target", "f")],
        [op("Reshape", "c columns", "d"), op("Flatten", "d", "f")],
    ],
    ids=["Flatten", "Reshape", "Reshape, Flatten"],
)
def test_flattened_image_is_read_as_it_is(flatten: list, tmp_path: Path, rng: Rng) -> None:
    weights = {
        "w": normal(rng, 96, 5),
        "target": np.array([0, -1]),
        "columns": np.array([0, 6, 16]),
    }
    loaded = load(tmp_path, [*flatten, op("Gemm", "f w", "y", "fc")], weights)
    converted = convert(loaded, rng)
    assert conv_layer(converted, "fc").weight_shape == (5, 6, 4, 4)
    np.testing.assert_array_equal(
        converted.initializers["fc.weight"], weights["w"].T.reshape(5, 6, 4, 4)
    )
    assert counts(converted) == Counter(Conv=2, Flatten=1)


def test_transpose_of_channels_goes_into_the_weight(tmp_path: Path, rng: Rng) -> None:
    nodes = [
        op("Transpose", "c", "t", perm=[0, 2, 3, 1]),
        op("Reshape", "t target", "f"),
        op("MatMul", "f w", "y", "fc"),
    ]
    weights = {"w": normal(rng, 96, 5), "target": np.array([-1, 96])}
    converted = convert(load(tmp_path, nodes, weights), rng)
    assert conv_layer(converted, "fc").weight_shape == (5, 6, 4, 4)
    assert counts(converted) == Counter(Conv=2, Flatten=1)


def test_one_reshape_where_there_is_no_image(tmp_path: Path, rng: Rng) -> None:
    """A sequence laid out flat: one Reshape in place of the Flatten, for both of its readers."""
    nodes = [
        op("Reshape", "c target", "q"),
        op("Transpose", "q", "k", perm=[0, 2, 1]),
        op("Flatten", "k", "f"),
        op("Gemm", "f w", "one", "fc1"),
        op("Gemm", "f v", "two", "fc2"),
    ]
    weights = {"w": normal(rng, 96, 5), "v": normal(rng, 96, 4), "target": np.array([0, 6, 16])}
    loaded = load(tmp_path, nodes, weights, ("N", 3, 8, 8), outputs="one two")
    converted = convert(loaded, rng)
    assert counts(converted) == Counter(Conv=3, Reshape=2, Transpose=1, Flatten=2)
    assert conv_layer(converted, "fc2").weight_shape == (4, 96, 1, 1)


# -- what stands behind and between ------------------------------------------------------------

BETWEEN = {
    "Relu": [op("Relu", "h", "a")],
    "Clip": [op("Clip", "h low high", "a")],
    "LeakyRelu": [op("LeakyRelu", "h", "a", alpha=0.1)],
    "Sigmoid": [op("Sigmoid", "h", "a")],
    "HardSwish": [op("HardSwish", "h", "a")],
    "PRelu": [op("PRelu", "h slope", "a")],
    "SiLU": [op("Sigmoid", "h", "s"), op("Mul", "h s", "a")],
    "doubled": [op("Add", "h h", "s"), op("Mul", "half s", "a")],
    "chosen by sign": [op("Less", "h half", "l"), op("Where", "l h slope", "a")],
    "rounded": [op("Round", "h", "s"), op("Mod", "s half", "m", fmod=1), op("Sub", "h m", "a")],
    "no-ops": [op("Flatten", "h", "s"), op("Reshape", "s same", "a")],
    "there and back": [op("Unsqueeze", "h axes", "s"), op("Squeeze", "s axes", "a")],
    "four axes": [op("Reshape", "h four", "r"), op("Relu", "r", "s"), op("Flatten", "s", "a")],
}


@pytest.mark.parametrize("name", BETWEEN)
@pytest.mark.parametrize("batch", [1, "N"])
def test_chain_of_three(name: str, batch: int | str, tmp_path: Path, rng: Rng) -> None:
    """Whatever is between the first two layers, no Reshape is."""
    nodes = [
        op("Flatten", "c", "f"),
        op("Gemm", "f w1 b1", "h", "fc1"),
        *BETWEEN[name],
        op("Gemm", "a w2 b2", "h2", "fc2", transB=1),
        op("Relu", "h2", "a2"),
        op("Gemm", "a2 w3 b3", "y", "fc3"),
    ]
    weights = {
        "w1": normal(rng, 96, 10), "b1": normal(rng, 10), "w2": normal(rng, 7, 10),
        "b2": normal(rng, 7), "w3": normal(rng, 7, 5), "b3": normal(rng, 5),
        "low": np.float32(-0.2), "high": np.float32(0.3), "half": np.array([[0.5]], np.float32),
        "slope": rng.uniform(0, 1, 10).astype(np.float32), "same": np.array([-1, 10]),
        "four": np.array([0, -1, 1, 1]), "axes": np.array([2, 3]),
    }  # fmt: skip
    loaded = load(tmp_path, nodes, weights, (batch, 3, 8, 8))
    converted = convert(loaded, rng)
    assert [layer.name for layer in conv_layers(converted)] == ["stem", "fc1", "fc2", "fc3"]
    kinds = counts(converted)
    assert kinds["Conv"] == 4
    assert kinds["Flatten"] == 1
    assert not kinds.keys() & {"Reshape", "Squeeze", "Unsqueeze", "Gemm"}
    assert conv_layer(converted, "fc1").weight_shape == (10, 6, 4, 4)
    if batch == "N":
        values = feeds(loaded, rng, batch=3)
        again = run(serialize(converted), values)
        assert_same(again, run(tmp_path / "model.onnx", values))
    result = rewrite(converted)
    values = feeds(loaded, rng)
    assert_same(run(serialize(result.model), values), run(serialize(loaded), values))
    assert sum(node.domain == OP_DOMAIN for node in result.model.nodes) == 4


def test_batch_normalisation_is_folded(tmp_path: Path, rng: Rng) -> None:
    nodes = [
        *pooled(),
        op("Gemm", "p w b", "h", "fc"),
        op("BatchNormalization", "h scale shift mean var", "n"),
        op("Relu", "n", "y"),
    ]
    weights = {"w": normal(rng, 6, 5), "b": normal(rng, 5), "var": np.full(5, 2, np.float32)}
    weights |= {name: normal(rng, 5) for name in ("scale", "shift", "mean")}
    converted = convert(load(tmp_path, nodes, weights), rng)
    assert counts(converted) == Counter(Conv=2, GlobalAveragePool=1, Relu=1, Flatten=1)


def test_residual_between_layers(tmp_path: Path, rng: Rng) -> None:
    nodes = [
        *pooled(),
        op("Gemm", "p w1", "h", "fc1"),
        op("Relu", "h", "a"),
        op("Gemm", "a w2", "r", "fc2"),
        op("Add", "p r", "s"),  # with the input of the first layer
        op("Gemm", "s w3", "t", "fc3"),
        op("Add", "t s", "y"),  # with the sum before
    ]
    weights = {"w1": normal(rng, 6, 9), "w2": normal(rng, 9, 6), "w3": normal(rng, 6, 6)}
    loaded = load(tmp_path, nodes, weights, ("N", 3, 8, 8))
    converted = convert(loaded, rng)
    assert counts(converted) == Counter(Conv=4, GlobalAveragePool=1, Relu=1, Add=2, Flatten=1)
    fused = {row.layer: row.fused for row in rewrite(converted).layers}
    assert "residual" in fused["fc2"]
    assert "residual" in fused["fc3"]


def test_residual_with_a_flat_image_goes_back(tmp_path: Path, rng: Rng) -> None:
    nodes = [op("Flatten", "c", "f"), op("Gemm", "f w", "h", "fc"), op("Add", "f h", "y")]
    converted = convert(load(tmp_path, nodes, {"w": normal(rng, 96, 96)}), rng)
    assert counts(converted) == Counter(Conv=2, Add=1, Flatten=2)


def test_gate_is_read_with_its_four_axes(tmp_path: Path, rng: Rng) -> None:
    """Squeeze and excitation: no Reshape is left on the way back to the image."""
    nodes = [
        *pooled(),
        op("Gemm", "p w", "h", "fc1"),
        op("Relu", "h", "a"),
        op("Gemm", "a v", "e", "fc2"),
        op("Sigmoid", "e", "s"),
        op("Reshape", "s four", "r"),
        op("Mul", "c r", "y"),
    ]
    weights = {"w": normal(rng, 6, 3), "v": normal(rng, 3, 6), "four": np.array([-1, 6, 1, 1])}
    converted = convert(load(tmp_path, nodes, weights), rng)
    assert counts(converted) == Counter(Conv=3, GlobalAveragePool=1, Relu=1, Sigmoid=1, Mul=1)


def test_decoder_reshapes_at_once(tmp_path: Path, rng: Rng) -> None:
    nodes = [*pooled(), op("Gemm", "p w", "h", "fc"), op("Reshape", "h target", "y")]
    weights = {"w": normal(rng, 6, 48), "target": np.array([0, 3, 4, 4])}
    converted = convert(load(tmp_path, nodes, weights), rng)
    assert counts(converted) == Counter(Conv=2, GlobalAveragePool=1, Reshape=1)


def test_outputs_in_between_keep_their_names(tmp_path: Path, rng: Rng) -> None:
    nodes = [
        *pooled(),
        op("Gemm", "p w", "h", "fc1"),
        op("Relu", "h", "a"),
        op("Gemm", "a v", "l", "fc2"),
        op("Softmax", "l", "y"),
    ]
    weights = {"w": normal(rng, 6, 7), "v": normal(rng, 7, 5)}
    loaded = load(tmp_path, nodes, weights, outputs="y h p a")
    converted = convert(loaded, rng)
    assert counts(converted)["Flatten"] == 4  # p as it was, h, a, and l for Softmax


# -- what is left alone ------------------------------------------------------------------------

TOKENS = [op("Reshape", "c tokens", "q"), op("Transpose", "q", "k", perm=[0, 2, 1])]
ALONE = {
    "rank 3": ([*TOKENS, op("MatMul", "k w", "y", "fc")], "rank 3"),
    "attention": ([*TOKENS, op("MatMul", "q k", "y", "fc")], "its weights are computed"),
    "left operand": (
        [*TOKENS, op("MatMul", "left k", "y", "fc")],
        "its weights are the left operand",
    ),
    "transposed input": (
        [*pooled(), op("Gemm", "p batch", "y", "fc", transA=1)],
        "its input is transposed",
    ),
    "bias at run time": ([*pooled(), op("Gemm", "p w p", "y", "fc")], "its bias is computed"),
    "bias by sample": (
        [*pooled(), op("Gemm", "p w samples", "y", "fc")],
        "its bias differs between samples",
    ),
    "shared": (
        [*pooled(), op("Gemm", "p w", "h", "fc"), op("Gemm", "h w", "y", "again")],
        "its weights are shared with another node",
    ),
}


@pytest.mark.parametrize("name", ALONE)
def test_left_alone_with_a_reason(name: str, tmp_path: Path, rng: Rng) -> None:
    nodes, reason = ALONE[name]
    weights = {
        "w": normal(rng, 6, 6), "tokens": np.array([0, 6, 16]), "left": normal(rng, 4, 16),
        "batch": normal(rng, 2, 5), "samples": normal(rng, 2, 6),
    }  # fmt: skip
    loaded = load(tmp_path, nodes, weights, (2, 3, 8, 8))
    told = NoteKeeper()
    assert as_convolutions(loaded, told) is loaded
    assert len(told.notes) == sum(node.is_op("Gemm", "MatMul") for node in loaded.nodes)
    assert "node 'fc'" in told.notes[0]
    assert reason in told.notes[0]


def test_neighbours_of_a_layer_left_alone(tmp_path: Path, rng: Rng) -> None:
    """Only what shares its weights stays: a Flatten before, nothing behind it changes."""
    nodes = [
        *pooled(),
        op("Gemm", "p w", "h", "first"),
        op("Gemm", "h v", "g1", "one"),
        op("Gemm", "g1 v", "l", "two"),
        op("Gemm", "l u", "y", "last"),
    ]
    weights = {"w": normal(rng, 6, 4), "v": normal(rng, 4, 4), "u": normal(rng, 4, 3)}
    converted = convert(load(tmp_path, nodes, weights), rng)
    assert [layer.name for layer in conv_layers(converted)] == ["stem", "first", "last"]
    assert counts(converted) == Counter(Conv=3, GlobalAveragePool=1, Flatten=2, Gemm=2, Reshape=1)


# -- whole networks ----------------------------------------------------------------------------


def lenet(batch: int | str) -> onnx.ModelProto:
    """LeNet-5 as Caffe has it: 20 and 50 kernels, 500 and 10 neurons."""
    rng = np.random.default_rng(0)
    nodes = [
        op("Conv", "x conv1.w", "c1", "conv1"),
        op("MaxPool", "c1", "p1", kernel_shape=[2, 2], strides=[2, 2]),
        op("Conv", "p1 conv2.w", "c2", "conv2"),
        op("MaxPool", "c2", "p2", kernel_shape=[2, 2], strides=[2, 2]),
        op("Flatten", "p2", "f"),
        op("Gemm", "f fc1.w fc1.b", "h", "fc1", transB=1),
        op("Relu", "h", "a"),
        op("Gemm", "a fc2.w fc2.b", "y", "fc2", transB=1),
    ]
    weights = {
        "conv1.w": normal(rng, 20, 1, 5, 5), "conv2.w": normal(rng, 50, 20, 5, 5),
        "fc1.w": normal(rng, 500, 800), "fc1.b": normal(rng, 500),
        "fc2.w": normal(rng, 10, 500), "fc2.b": normal(rng, 10),
    }  # fmt: skip
    return model(nodes, weights, (batch, 1, 28, 28))


@pytest.mark.parametrize("batch", [1, "N"])
def test_lenet(batch: int | str, tmp_path: Path, rng: Rng) -> None:
    loaded = load_model(store(lenet(batch), tmp_path))
    converted = convert(loaded, rng)
    assert [layer.weight_shape for layer in conv_layers(converted)] == [
        (20, 1, 5, 5), (50, 20, 5, 5), (500, 50, 4, 4), (10, 500, 1, 1),
    ]  # fmt: skip
    assert sum(layer.weight_count for layer in conv_layers(converted)) == 430_500
    assert model_macs(converted) == model_macs(loaded)
    assert_shrinks(converted, rng)
    densities = {"conv1": 0.8, "conv2": 0.3, "fc1": 0.1, "fc2": 0.5}
    sparse = random_model(converted, densities, 4, seed=0)
    assert {row.layer: row.stored_groups < row.groups for row in sparse.layers} == dict.fromkeys(
        densities, True
    )
    if batch == "N":
        values = feeds(loaded, rng, batch=3)
        again = run(serialize(converted), values)
        assert_same(again, run(tmp_path / "model.onnx", values))


@pytest.mark.parametrize("name", GRAPHS)
def test_handmade_graph(name: str, tmp_path: Path, rng: Rng) -> None:
    loaded = load_model(store(GRAPHS[name](), tmp_path))
    converted = convert(loaded, rng)
    assert (converted is loaded) == (name in UNCHANGED)
    if converted is not loaded:
        assert_shrinks(converted, rng)


@pytest.mark.parametrize("name", TORCH)
def test_torch_network(
    name: str, torch_network: Callable[..., bytes], tmp_path: Path, rng: Rng
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(torch_network(name))
    loaded = load_model(path)
    converted = convert(loaded, rng)
    assert not counts(converted).keys() & {"Gemm", "MatMul"}
    assert len(conv_layers(converted)) > len(conv_layers(loaded))


@pytest.mark.parametrize("name", SHARED)
def test_shared_model(name: str, shared: Path, rng: Rng) -> None:
    path = shared / "models" / f"{name}.onnx"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    loaded = load_model(path)
    converted = convert(loaded, rng)
    assert len(conv_layers(converted)) == len(conv_layers(loaded)) + SHARED[name]
    assert not counts(converted).keys() & {"Gemm", "MatMul"}
    assert_same(
        run(serialize(rewrite(converted).model), values := feeds(loaded, rng)),
        run(serialize(loaded), values),
    )


def test_torch_round_trip(tmp_path: Path, rng: Rng) -> None:
    torch = pytest.importorskip("torch")
    from alcs_onnx.train import OnnxModule
    from alcs_onnx.train.verify import verify

    loaded = load_model(store(lenet("N"), tmp_path))
    converted = as_convolutions(loaded)
    assert verify(converted) < 1e-4
    before, after = OnnxModule(loaded), OnnxModule(converted)
    parameters = [dict(module.named_parameters()) for module in (before, after)]
    assert [sum(p.numel() for p in found.values()) for found in parameters] == [430_500 + 510] * 2
    x = torch.from_numpy(rng.random((5, 1, 28, 28), np.float32))
    torch.testing.assert_close(after(x)[0], before(x)[0], rtol=1e-4, atol=1e-4)


# -- the commands ------------------------------------------------------------------------------

QUICK = Measuring(warmup=2, iterations=10)


@pytest.fixture
def few_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is measured here is not looked at."""
    monkeypatch.setattr("alcs_onnx.pipeline.common.workload.MIN_SECONDS", 0.02)


@pytest.mark.usefixtures("few_samples")
@pytest.mark.parametrize("asked", [False, True])
def test_plan_has_the_layer_where_asked_for(asked: bool, tmp_path: Path) -> None:
    network = residual_net(tmp_path / "net.onnx")
    result = optimize(network, "95%", None, fully_connected=asked, measuring=QUICK)
    assert ("logits" in {row.layer for row in result.layers}) == asked


@pytest.mark.usefixtures("few_samples")
def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], rng: Rng) -> None:
    network, table = residual_net(tmp_path / "net.onnx"), tmp_path / "table.json"
    quick = ["--iterations", "10", "--warmup", "2", "--fully-connected"]
    assert main(["profile", str(network), "-o", str(table), *quick]) == 0
    out = tmp_path / "out.onnx"
    arguments = ["optimize", str(network), "--budget", "95%", "--profile", str(table)]
    assert main([*arguments, "-o", str(out), *quick]) in (0, 1)
    assert "logits" in capsys.readouterr().out
    written, loaded = load_model(out), load_model(network)
    assert conv_layer(written, "logits").weight_shape == (4, 32, 1, 1)
    assert written.outputs == loaded.outputs
