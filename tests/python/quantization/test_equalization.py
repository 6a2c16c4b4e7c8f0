"""Equalized models compute the same, and channels reach as far as one another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from graph_helpers import assert_same, conv_weight, feed, model, op, run, store, vector
from onnx import TensorProto, helper

from alcs_onnx.errors import DataError
from alcs_onnx.graph import Model, load_model, serialize
from alcs_onnx.graph.part import part
from alcs_onnx.quantization import calibrate, equalized, quantize
from alcs_onnx.quantization.equalization import streams

Rng = np.random.Generator
SHAPE = (1, 3, 10, 10)


def _uneven(rng: Rng, *shape: int) -> np.ndarray:
    """Output channels of which the last is eight times as large as the first."""
    weight = conv_weight(rng, *shape)
    size = 8 ** np.linspace(0, 1, shape[0]).reshape(-1, *(1,) * (len(shape) - 1))
    return (weight * size).astype(np.float32)


def _residual(rng: Rng, activation: str) -> onnx.ModelProto:
    """A sum of two layers that a pool, a depthwise and a grouped layer read; then the last one."""
    nodes = [
        op("Conv", "x w0 b0", "a0", "stem"), op("Conv", "x w1", "a1", "side"),
        op("Add", "a0 a1", "s", "sum"), op(activation, "s", "r", "act"),
        op("MaxPool", "r", "p", "pool", kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1]),
        op("Conv", "p w2", "a2", "depth", group=8, pads=[1, 1, 1, 1]),
        op("Conv", "r w3 b3", "a3", "groups", group=2),
        op("Add", "a2 a3", "t", "join"), op("Conv", "t w4 b4", "y", "last"),
    ]  # fmt: skip
    weights = {"w0": _uneven(rng, 8, 3, 1, 1), "b0": vector(rng, 8), "w1": _uneven(rng, 8, 3, 1, 1),
               "w2": _uneven(rng, 8, 1, 3, 3), "w3": _uneven(rng, 8, 4, 1, 1),
               "b3": vector(rng, 8), "w4": conv_weight(rng, 6, 8, 3, 3),
               "b4": vector(rng, 6)}  # fmt: skip
    return model(nodes, weights, SHAPE, opset=13)


def _reach(found: Model, tensor: str, pictures: list[dict[str, np.ndarray]]) -> np.ndarray:
    data = serialize(part(found, found.nodes, [tensor]))
    return np.max([np.abs(run(data, feeds)[0]).max((0, 2, 3)) for feeds in pictures], axis=0)


@pytest.mark.parametrize("activation", ["Relu", "LeakyRelu"])
def test_channels_reach_as_far_and_outputs_are_the_same(
    tmp_path: Path, rng: Rng, activation: str
) -> None:
    path = store(_residual(rng, activation), tmp_path)
    loaded = load_model(path)
    pictures = [feed(SHAPE, rng) for _ in range(4)]
    found = equalized(loaded, pictures)
    x = feed(SHAPE, rng)
    assert_same(run(serialize(found), x), run(path, x), 1e-5)
    for stream in streams(loaded):
        before, after = (
            np.max([_reach(each, name, pictures) for name in stream.tensors], axis=0)
            for each in (loaded, found)
        )
        wanted = np.minimum(before.max(), 3 * before)
        np.testing.assert_allclose(after, wanted, rtol=1e-4)


def test_what_is_summed_is_one_stream(tmp_path: Path, rng: Rng) -> None:
    loaded = load_model(store(_residual(rng, "Relu"), tmp_path))
    first, second = streams(loaded)
    assert {node.name for node in first.writers} == {"stem", "side"}
    assert {node.name for node in first.readers} == {"depth", "groups"}
    # What goes into the Relu is rounded behind it.
    assert set(first.tensors) == {"a0", "a1", "r", "p"}
    assert {node.name for node in second.writers} == {"depth", "groups"}
    assert {node.name for node in second.readers} == {"last"}
    assert [x.readers for x in streams(loaded, {"last"})] == [second.readers]
    assert equalized(loaded, [], {"none of them"}) is loaded


def test_no_channel_is_scaled_beyond_reason(tmp_path: Path, rng: Rng) -> None:
    """One that is always zero stays, and one that hardly ever speaks grows eightfold at most."""
    weights = {"w": conv_weight(rng, 8, 3, 3, 3), "v": conv_weight(rng, 8, 8, 1, 1)}
    weights["w"][2] = 0
    weights["w"][5] *= 1e-3
    nodes = [op("Conv", "x w", "a"), op("Relu", "a", "r"), op("Conv", "r v", "y")]
    path = store(model(nodes, weights, SHAPE, opset=13), tmp_path)
    x = feed(SHAPE, rng)
    found = equalized(load_model(path), [x])
    assert_same(run(serialize(found), x), run(path, x), 1e-5)
    assert not found.initializers["w"][2].any()
    np.testing.assert_allclose(found.initializers["w"][5], 3 * weights["w"][5], rtol=1e-6)


def test_layers_around_what_is_not_homogeneous_stay(tmp_path: Path, rng: Rng) -> None:
    """A Clip that is not from 0 on, other readers, an output, a weight of two layers."""
    weights = {"w": _uneven(rng, 8, 3, 3, 3), "v": _uneven(rng, 8, 8, 1, 1),
               "low": np.float32(-1), "high": np.float32(6)}  # fmt: skip
    graphs = {
        "y": [op("Conv", "x w", "a"), op("Clip", "a low high", "c"), op("Conv", "c v", "y")],
        "y z": [op("Conv", "x w", "a"), op("Conv", "a v", "y"), op("Neg", "a", "z")],
        "y a": [op("Conv", "x w", "a"), op("Conv", "a v", "y")],
        "z": [op("Conv", "x w", "a"), op("Conv", "a v", "y"), op("Conv", "y v", "z")],
    }
    for outputs, nodes in graphs.items():
        path = store(model(nodes, weights, SHAPE, opset=13, outputs=outputs), tmp_path)
        loaded = load_model(path)
        assert equalized(loaded, [feed(SHAPE, rng)]) is loaded


def test_channels_below_a_clip_are_scaled_up_to_it(tmp_path: Path, rng: Rng) -> None:
    """Those that reach the bound stay as they are; others are cut off where they got farthest."""
    weights = {"w": _uneven(rng, 8, 3, 3, 3), "v": _uneven(rng, 8, 8, 1, 1),
               "low": np.float32(0), "high": np.float32(1e6)}  # fmt: skip
    nodes = [op("Conv", "x w", "a"), op("Clip", "a low high", "c"), op("Conv", "c v", "y")]
    pictures = [feed(SHAPE, rng) for _ in range(4)]
    free = load_model(store(model(nodes, weights, SHAPE, opset=13), tmp_path))
    reach = _reach(free, "c", pictures)
    bound = float(np.median(reach))
    weights["high"] = np.float32(bound)
    path = store(model(nodes, weights, SHAPE, opset=13), tmp_path)
    loaded = load_model(path)
    (stream,) = streams(loaded)
    assert stream.bound == pytest.approx(bound)
    assert stream.tensors == ("c",)
    found = equalized(loaded, pictures)
    after = _reach(found, "c", pictures)
    np.testing.assert_allclose(after, np.minimum(bound, 3 * reach), rtol=1e-5)
    for x in pictures:
        assert_same(run(serialize(found), x), run(path, x), 1e-5)
    far = {"x": 3 * pictures[0]["x"]}
    clipped, scaled = (run(serialize(part(m, m.nodes, ["c"])), far)[0] for m in (loaded, found))
    factors = (after / np.minimum(bound, reach))[:, None, None]
    wanted = np.minimum(clipped, bound / factors)
    np.testing.assert_allclose(scaled / factors, wanted, rtol=1e-4, atol=1e-5)
    assert (wanted < clipped).any()


@pytest.mark.parametrize(("bounds", "found"), [("low high", 6.0), ("low", np.inf), ("", None)])
def test_which_clips_channels_are_scaled_through(
    tmp_path: Path, rng: Rng, bounds: str, found: float | None
) -> None:
    """Those from 0 on; also summed with what was clipped elsewhere, to the lower bound."""
    weights = {"w": _uneven(rng, 8, 3, 3, 3), "v": _uneven(rng, 8, 8, 1, 1),
               "low": np.float32(0), "high": np.float32(6), "top": np.float32(7)}  # fmt: skip
    nodes = [op("Conv", "x w", "a"), op("Clip", f"a {bounds}", "c"), op("Conv", "x u", "b"),
             op("Clip", "b low top", "d"), op("Add", "c d", "s"),
             op("Conv", "s v", "y")]  # fmt: skip
    weights["u"] = _uneven(rng, 8, 3, 3, 3)
    loaded = load_model(store(model(nodes, weights, SHAPE, opset=13), tmp_path))
    wanted = [] if found is None else [min(found, 7.0)]
    assert [stream.bound for stream in streams(loaded)] == wanted


@pytest.mark.parametrize("read", [False, True])
def test_a_pool_that_tells_where(tmp_path: Path, rng: Rng, read: bool) -> None:
    """Positions are no values to be scaled."""
    weights = {"w": _uneven(rng, 8, 3, 3, 3), "v": _uneven(rng, 8, 8, 1, 1)}
    nodes = [op("Conv", "x w", "a"), op("MaxPool", "a", "p i", kernel_shape=[2, 2]),
             op("Conv", "p v", "y")]  # fmt: skip
    if read:
        nodes.append(op("Cast", "i", "z", to=1))
    proto = model(nodes, weights, SHAPE, opset=13, outputs="y z" if read else "y")
    loaded = load_model(store(proto, tmp_path))
    x = feed(SHAPE, rng)
    found = equalized(loaded, [x])
    assert (found is loaded) is read
    assert_same(run(serialize(found), x), run(serialize(loaded), x), 1e-5)


def test_inputs_that_streams_do_not_need(tmp_path: Path, rng: Rng) -> None:
    weights = {"w": _uneven(rng, 8, 3, 3, 3), "v": _uneven(rng, 8, 8, 1, 1)}
    nodes = [op("Conv", "x w", "a"), op("Conv", "a v", "b"), op("Mul", "b z", "y")]
    proto = model(nodes, weights, SHAPE, opset=13)
    proto.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, (1, 8, 1, 1)))
    loaded = load_model(store(proto, tmp_path))
    feeds = feed(SHAPE, rng) | {"z": rng.random((1, 8, 1, 1), np.float32)}
    found = equalized(loaded, [feeds])
    assert found is not loaded
    assert_same(run(serialize(found), feeds), run(serialize(loaded), feeds), 1e-5)
    with pytest.raises(DataError, match="no pictures"):
        equalized(loaded, [])


def test_int8_loses_less(tmp_path: Path, rng: Rng) -> None:
    """What equalization is for: the quiet channels are rounded by steps of their own."""
    proto = _residual(rng, "Relu")
    loaded = load_model(store(proto, tmp_path))
    pictures = [feed(SHAPE, rng) for _ in range(8)]
    lost = []
    for each in (loaded, equalized(loaded, pictures)):
        source = serialize(each)
        made = quantize(source, calibrate(source, pictures)).model
        assert isinstance(made, bytes)
        # As it is written: kernels of some machines overflow.
        pairs = [(run(source, x)[0], run(made, x, False)[0]) for x in pictures]
        lost.append(sum(float(np.square(a - b).sum()) for a, b in pairs))
    assert lost[1] < lost[0]
