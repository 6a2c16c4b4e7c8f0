"""Passes that change weights: BatchNormalization, element-wise constants, padding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from graph_helpers import (
    assert_same,
    conv_weight,
    feed,
    load,
    model,
    op,
    op_types,
    run,
    store,
    vector,
)

from alcs_onnx.graph import conv_layer, conv_layers, serialize

Rng = np.random.Generator


def norm(rng: Rng, channels: int) -> dict[str, np.ndarray]:
    return {
        "gamma": vector(rng, channels, 0.5, 2),
        "beta": vector(rng, channels),
        "mean": vector(rng, channels),
        "var": vector(rng, channels, 0.1, 3),
    }


BN = "gamma beta mean var"


@pytest.mark.parametrize("bias", [False, True])
def test_batch_norm_is_folded_in_float64(tmp_path: Path, rng: Rng, bias: bool) -> None:
    weights = {"w": conv_weight(rng, 6, 3, 3, 3), **norm(rng, 6)}
    if bias:
        weights["b"] = vector(rng, 6)
    nodes = [
        op("Conv", "x w b" if bias else "x w", "a", "conv"),
        op("BatchNormalization", f"a {BN}", "y", epsilon=1e-3),
    ]
    proto = model(nodes, weights)
    loaded = load(proto, tmp_path)
    assert op_types(loaded) == ["Conv"]
    layer = conv_layer(loaded, "conv")
    wide = {name: value.astype(np.float64) for name, value in weights.items()}
    scale = wide["gamma"] / np.sqrt(wide["var"] + 1e-3)
    folded = (wide["w"] * scale[:, None, None, None]).astype(np.float32)
    shift = (wide.get("b", 0) - wide["mean"]) * scale + wide["beta"]
    # epsilon is a float32 attribute: 1e-3 is rounded in the file
    np.testing.assert_allclose(loaded.initializers[layer.weight], folded, rtol=1e-7)
    assert layer.bias is not None
    np.testing.assert_allclose(loaded.initializers[layer.bias], shift, rtol=1e-5, atol=1e-7)
    x = feed((1, 3, 8, 8), rng)
    assert_same(run(serialize(loaded), x), run(store(proto, tmp_path), x, optimise=False))


@pytest.mark.parametrize("group", [1, 2])
def test_batch_norm_behind_transposed_conv(tmp_path: Path, rng: Rng, group: int) -> None:
    weights = {"w": conv_weight(rng, 4, 6 // group, 2, 2), "w0": conv_weight(rng, 4, 3, 1, 1)}
    nodes = [
        op("Conv", "x w0", "c", "conv"),
        op("ConvTranspose", "c w", "a", "up", strides=[2, 2], group=group),
        op("BatchNormalization", f"a {BN}", "y"),
    ]
    proto = model(nodes, {**weights, **norm(rng, 6)})
    loaded = load(proto, tmp_path)
    assert op_types(loaded) == ["Conv", "ConvTranspose"]
    x = feed((1, 3, 8, 8), rng)
    assert_same(run(serialize(loaded), x), run(store(proto, tmp_path), x, optimise=False))


def test_batch_norm_stays_where_the_conv_is_read_twice(tmp_path: Path, rng: Rng) -> None:
    nodes = [
        op("Conv", "x w", "a", "conv"),
        op("BatchNormalization", f"a {BN}", "n"),
        op("Add", "a n", "y"),
    ]
    proto = model(nodes, {"w": conv_weight(rng, 6, 3, 3, 3), **norm(rng, 6)})
    assert "BatchNormalization" in op_types(load(proto, tmp_path))


def test_batch_norm_stays_where_the_conv_is_an_output(tmp_path: Path, rng: Rng) -> None:
    nodes = [op("Conv", "x w", "a", "conv"), op("BatchNormalization", f"a {BN}", "y")]
    weights = {"w": conv_weight(rng, 6, 3, 3, 3), **norm(rng, 6)}
    loaded = load(model(nodes, weights, outputs="y a"), tmp_path)
    assert op_types(loaded) == ["Conv", "BatchNormalization"]
    assert [info.name for info in loaded.outputs] == ["y", "a"]


def test_shared_weights_are_folded_separately(tmp_path: Path, rng: Rng) -> None:
    nodes = [
        op("Conv", "x w", "a", "first", pads=[1, 1, 1, 1]),
        op("BatchNormalization", f"a {BN}", "b"),
        op("Conv", "b w", "c", "second", pads=[1, 1, 1, 1]),
        op("Mul", "c k", "y"),
    ]
    weights = {
        "w": conv_weight(rng, 3, 3, 3, 3),
        **norm(rng, 3),
        "k": vector(rng, 3)[:, None, None],
    }
    proto = model(nodes, weights)
    loaded = load(proto, tmp_path)
    assert op_types(loaded) == ["Conv", "Conv"]
    assert len({layer.weight for layer in conv_layers(loaded)}) == 2
    x = feed((1, 3, 8, 8), rng)
    assert_same(run(serialize(loaded), x), run(store(proto, tmp_path), x, optimise=False))


@pytest.mark.parametrize("shape", [(), (1,), (6, 1, 1), (1, 6, 1, 1)])
@pytest.mark.parametrize(
    ("op_type", "inputs"),
    [
        ("Add", "a k"),
        ("Add", "k a"),
        ("Mul", "a k"),
        ("Mul", "k a"),
        ("Sub", "a k"),
        ("Sub", "k a"),
        ("Div", "a k"),
    ],
)
def test_elementwise_constants_are_folded(
    tmp_path: Path, rng: Rng, op_type: str, inputs: str, shape: tuple[int, ...]
) -> None:
    constant = rng.uniform(0.5, 2, shape).astype(np.float32)
    nodes = [op("Conv", "x w b", "a", "conv"), op(op_type, inputs, "y")]
    weights = {"w": conv_weight(rng, 6, 3, 3, 3), "b": vector(rng, 6), "k": constant}
    proto = model(nodes, weights)
    loaded = load(proto, tmp_path)
    assert op_types(loaded) == ["Conv"]
    x = feed((1, 3, 8, 8), rng)
    assert_same(run(serialize(loaded), x), run(store(proto, tmp_path), x, optimise=False))


@pytest.mark.parametrize(
    ("op_type", "inputs", "shape"),
    [
        ("Add", "a k", (6, 6)),  # one number per pixel
        ("Add", "a k", (6, 6, 1)),  # one number per channel and row
        ("Add", "a k", (1, 1, 6, 1, 1)),  # raises the rank
        ("Mul", "a k", (2, 1, 1, 1)),  # widens the batch
        ("Div", "k a", ()),  # not affine
    ],
)
def test_other_elementwise_constants_stay(
    tmp_path: Path, rng: Rng, op_type: str, inputs: str, shape: tuple[int, ...]
) -> None:
    nodes = [op("Conv", "x w", "a", "conv"), op(op_type, inputs, "y")]
    weights = {"w": conv_weight(rng, 6, 3, 3, 3), "k": np.ones(shape, np.float32)}
    assert op_types(load(model(nodes, weights), tmp_path)) == ["Conv", op_type]


def test_single_channel_conv_is_not_broadcast_away(tmp_path: Path, rng: Rng) -> None:
    nodes = [op("Conv", "x w", "a", "conv"), op("Mul", "a k", "y")]
    weights = {"w": conv_weight(rng, 1, 3, 3, 3), "k": vector(rng, 5)[:, None, None]}
    loaded = load(model(nodes, weights), tmp_path)
    assert op_types(loaded) == ["Conv", "Mul"]
    assert loaded.shapes["y"] == (1, 5, 6, 6)


@pytest.mark.parametrize(
    ("pads", "axes", "own"),
    [
        ([0, 0, 1, 2, 0, 0, 3, 4], None, [0, 0, 0, 0]),
        ([0, 0, 1, 2, 0, 0, 3, 4], None, [1, 0, 2, 1]),
        ([1, 2, 3, 4], [2, -1], [1, 1, 1, 1]),
    ],
)
def test_explicit_pad_becomes_padding(
    tmp_path: Path, rng: Rng, pads: list[int], axes: list[int] | None, own: list[int]
) -> None:
    weights = {"w": conv_weight(rng, 4, 3, 3, 3), "p": np.array(pads), "zero": np.float32(0)}
    inputs = "x p zero"
    if axes:
        weights["axes"] = np.array(axes)
        inputs += " axes"
    nodes = [op("Pad", inputs, "a"), op("Conv", "a w", "y", "conv", pads=own)]
    proto = model(nodes, weights, opset=18)
    loaded = load(proto, tmp_path)
    assert op_types(loaded) == ["Conv"]
    begin_end = pads if axes else [*pads[2:4], *pads[6:]]
    assert conv_layer(loaded, "conv").pads == tuple(np.add(begin_end, own))
    x = feed((1, 3, 8, 8), rng)
    assert_same(run(serialize(loaded), x), run(store(proto, tmp_path), x))


@pytest.mark.parametrize(
    ("pads", "value", "mode"),
    [
        ([0, 0, 1, 1, 0, 0, 1, 1], 1.0, "constant"),
        ([0, 0, 1, 1, 0, 0, 1, 1], 0.0, "reflect"),
        ([0, 1, 0, 0, 0, 1, 0, 0], 0.0, "constant"),
        ([0, 0, -1, 0, 0, 0, 0, 0], 0.0, "constant"),
    ],
)
def test_other_pads_stay(
    tmp_path: Path, rng: Rng, pads: list[int], value: float, mode: str
) -> None:
    channels = 3 + pads[1] + pads[5]
    weights = {
        "w": conv_weight(rng, 4, channels, 3, 3),
        "p": np.array(pads),
        "v": np.float32(value),
    }
    nodes = [op("Pad", "x p v", "a", mode=mode), op("Conv", "a w", "y", "conv")]
    proto = model(nodes, weights)
    loaded = load(proto, tmp_path)
    assert op_types(loaded) == ["Pad", "Conv"]
    x = feed((1, 3, 8, 8), rng)
    assert_same(run(serialize(loaded), x), run(store(proto, tmp_path), x))


@pytest.mark.parametrize("pooled", [False, True])
def test_pad_read_by_several_nodes(tmp_path: Path, rng: Rng, pooled: bool) -> None:
    """Folded if only convolutions read it."""
    weights = {"w": conv_weight(rng, 3, 3, 3, 3), "p": np.array([0, 0, 1, 1, 0, 0, 1, 1])}
    nodes = [
        op("Pad", "x p", "a", "pad"),
        op("Conv", "a w", "b", "one"),
        op("Conv", "a w", "c", "two", dilations=[1, 1]),
        op("Add", "b c", "d"),
        op("MaxPool", "a", "e", kernel_shape=[3, 3]) if pooled else op("Relu", "b", "e"),
        op("Add", "d e", "y"),
    ]
    proto = model(nodes, weights)
    loaded = load(proto, tmp_path)
    pads = (0, 0, 0, 0) if pooled else (1, 1, 1, 1)
    assert [layer.pads for layer in conv_layers(loaded)] == [pads] * 2
    assert op_types(loaded).count("Pad") == pooled
    x = feed((1, 3, 8, 8), rng)
    assert_same(run(serialize(loaded), x), run(store(proto, tmp_path), x))


@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("dilation", [1, 2])
def test_auto_pad_is_resolved(
    tmp_path: Path, rng: Rng, mode: str, stride: int, dilation: int
) -> None:
    attributes = {"auto_pad": mode, "strides": [stride, 1], "dilations": [1, dilation]}
    nodes = [op("Conv", "x w", "y", "conv", **attributes)]
    proto = model(nodes, {"w": conv_weight(rng, 4, 3, 4, 3)}, (1, 3, 11, 10))
    loaded = load(proto, tmp_path)
    assert set(loaded.node("conv").attributes) == {
        "dilations", "group", "kernel_shape", "pads", "strides",
    }  # fmt: skip
    x = feed((1, 3, 11, 10), rng)
    result = run(serialize(loaded.detached()), x)
    if mode == "VALID" or dilation == 1:
        assert_same(result, run(store(proto, tmp_path), x, optimise=False))
    else:  # the runtime itself refuses SAME with dilation
        assert result[0].shape == (1, 4, -(-11 // stride), 10)
