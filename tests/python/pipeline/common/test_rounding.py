"""int8 rounded layer after layer: nearer to the float network than the nearest integers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
from graph_helpers import Array, conv_weight, model, op, run, store, vector
from reporters import Recorder

from alcs_onnx.data.memory import ArraySamples
from alcs_onnx.data.others import GivenInput
from alcs_onnx.graph import Model, load_model, loadable
from alcs_onnx.pipeline.common.rounding import ToRound, rounded
from alcs_onnx.quantization import Quantized, QuantizeOptions, calibrate, quantize

Rng = np.random.Generator
SHAPE = (1, 3, 12, 12)
SEVEN = QuantizeOptions(reduce_range=True)
"""Right on every machine."""


def _network(rng: Rng, *, bias: bool) -> onnx.ModelProto:
    """A residual block with a depthwise layer, wide enough for errors to make up for each other."""
    nodes = [
        op("Conv", "x w0 b0" if bias else "x w0", "a", "stem", pads=[1, 1, 1, 1]),
        op("Relu", "a", "r"),
        op("Conv", "r w1 b1" if bias else "r w1", "b", "wide"),
        op("Clip", "b low high", "c"),
        op("Conv", "c w2", "d", "depth", group=32, pads=[1, 1, 1, 1]),
        op("Conv", "d w3 b3" if bias else "d w3", "e", "narrow"),
        op("Add", "e r", "s"),
        op("Conv", "s w4", "y", "last"),
    ]
    weights = {
        "w0": conv_weight(rng, 16, 3, 3, 3), "w1": conv_weight(rng, 32, 16, 1, 1),
        "w2": conv_weight(rng, 32, 1, 3, 3), "w3": conv_weight(rng, 16, 32, 1, 1),
        "w4": conv_weight(rng, 10, 16, 1, 1), "b0": vector(rng, 16), "b1": vector(rng, 32),
        "b3": vector(rng, 16), "low": np.float32(0), "high": np.float32(6),
    }  # fmt: skip
    used = {name for node in nodes for name in node.input}
    return model(nodes, {k: v for k, v in weights.items() if k in used}, SHAPE, opset=13)


def _pictures(rng: Rng, count: int) -> Array:
    """Smooth ones: neighbouring pixels say nearly the same."""
    coarse = rng.random((count, 3, 4, 4)).astype(np.float32)
    return np.asarray(coarse.repeat(3, axis=2).repeat(3, axis=3))


def _both(folder: Path, rng: Rng, proto: onnx.ModelProto) -> tuple[Model, Quantized, Quantized]:
    """By the nearest integers, and layer after layer."""
    found = load_model(store(proto, folder))
    pictures = _pictures(rng, 48)
    source = loadable(found, 13)
    ranges = calibrate(source, [{"x": x[None]} for x in pictures])
    work = ToRound(found, source, ranges, None, SEVEN)
    samples = ArraySamples((GivenInput(pictures, True),), len(pictures))
    nearest = quantize(source, ranges, options=SEVEN)
    return found, nearest, rounded(work, samples, 0, Recorder())


def _lost(found: Model, made: Quantized, pictures: Array) -> float:
    assert isinstance(made.model, bytes)
    source = loadable(found)
    assert isinstance(source, bytes)
    pairs = [(run(source, {"x": x[None]})[0], run(made.model, {"x": x[None]})[0]) for x in pictures]
    return sum(float(np.square(a - b).sum()) for a, b in pairs)


def _integers(made: Quantized) -> Mapping[str, Array]:
    assert isinstance(made.model, bytes)
    tensors = onnx.load_from_string(made.model).graph.initializer
    return {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in tensors}


@pytest.mark.parametrize("bias", [True, False])
def test_less_is_lost_on_other_pictures(tmp_path: Path, rng: Rng, bias: bool) -> None:
    found, nearest, better = _both(tmp_path, rng, _network(rng, bias=bias))
    others = _pictures(rng, 40)
    # Without biases nothing makes means right.
    most = 0.8 if bias else 1.0
    assert _lost(found, better, others) < most * _lost(found, nearest, others)


def test_only_integers_differ(tmp_path: Path, rng: Rng) -> None:
    _, nearest, better = _both(tmp_path, rng, _network(rng, bias=True))
    before, after = _integers(nearest), _integers(better)
    assert before.keys() == after.keys()
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert {before[name].dtype for name in changed} == {np.dtype(np.int8), np.dtype(np.int32)}
    assert len(changed) >= 5
    assert max(np.abs(after[n]).max() for n in changed if after[n].dtype == np.int8) <= 64
    assert (better.nodes, better.computed) == (nearest.nodes, nearest.computed)


def test_a_file_of_one_sample_at_a_time(tmp_path: Path, rng: Rng) -> None:
    """Its graph fixes the batch: pictures go through one by one."""
    proto = _network(rng, bias=True)
    proto.graph.node[-1].output[0] = "z"
    proto.graph.node.append(op("Reshape", "z one", "y", "fixed"))
    one = np.array([1, 10, 12, 12], np.int64)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(one, "one"))
    found, nearest, better = _both(tmp_path, rng, proto)
    others = _pictures(rng, 20)
    assert _lost(found, better, others) < 0.8 * _lost(found, nearest, others)


def test_nothing_in_int8_is_nothing_to_round(tmp_path: Path, rng: Rng) -> None:
    found = load_model(store(_network(rng, bias=True), tmp_path))
    pictures = _pictures(rng, 4)
    source = loadable(found, 13)
    ranges = calibrate(source, [{"x": x[None]} for x in pictures])
    work = ToRound(found, source, ranges, [], SEVEN)
    samples = ArraySamples((GivenInput(pictures, True),), len(pictures))
    assert rounded(work, samples, 0, Recorder()).model is source


def _pooled(rng: Rng, between: str) -> onnx.ModelProto:
    """Loading takes `between` out of the graph, and then the pool is int8; the file keeps it."""
    nodes = [op("Conv", "x w0 b0", "a"), op("Relu", "a", "r"), op(between, "r", "i"),
             op("AveragePool", "i", "p", kernel_shape=[2, 2], strides=[2, 2]),
             op("Conv", "p w1 b1", "y")]  # fmt: skip
    weights = {"w0": conv_weight(rng, 16, 3, 3, 3), "w1": conv_weight(rng, 12, 16, 3, 3),
               "b0": vector(rng, 16), "b1": vector(rng, 12)}  # fmt: skip
    return model(nodes, weights, SHAPE, opset=13)


@pytest.mark.parametrize("between", ["Identity", "Dropout"])
def test_nodes_that_only_the_file_has(tmp_path: Path, rng: Rng, between: str) -> None:
    """Biases are in the steps of the file, whose activations are rounded elsewhere."""
    found, nearest, better = _both(tmp_path, rng, _pooled(rng, between))
    others = _pictures(rng, 20)
    assert _lost(found, better, others) < _lost(found, nearest, others)


def test_a_name_that_is_taken_in_the_file(tmp_path: Path, rng: Rng) -> None:
    """An initializer that nothing reads has the name that the quantizer would give."""
    proto = _network(rng, bias=True)
    taken = np.ones((16, 3, 3, 3), np.float32)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(taken, "w0_quantized"))
    found, nearest, better = _both(tmp_path, rng, proto)
    np.testing.assert_array_equal(_integers(better)["w0_quantized"], taken)
    others = _pictures(rng, 20)
    assert _lost(found, better, others) < 0.8 * _lost(found, nearest, others)
