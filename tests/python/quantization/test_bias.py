"""Biases that make up for what quantization shifts the means of channels by."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable

import numpy as np
import onnx
import pytest
from graph_helpers import conv_weight, model, op, run, vector
from onnx import numpy_helper

from alcs_onnx.errors import DataError
from alcs_onnx.quantization import calibrate, quantize, with_corrected_biases
from alcs_onnx.serialized import Serialized

Rng = np.random.Generator
SHAPE = (1, 3, 12, 12)


def _deep(rng: Rng, *, bias: bool) -> onnx.ModelProto:
    """Four convolutions, coarse ones: a few weights are far larger than the others."""
    weights = {f"w{i}": conv_weight(rng, 8, 8 if i else 3, 3, 3) for i in range(4)}
    for weight in weights.values():
        weight[:, 0, 0, 0] *= 30
    biases = {f"b{i}": vector(rng, 8) for i in range(4)} if bias else {}
    nodes, tensor = [], "x"
    for i in range(4):
        inputs = f"{tensor} w{i} b{i}" if bias else f"{tensor} w{i}"
        nodes += [op("Conv", inputs, f"a{i}", pads=[1] * 4), op("Relu", f"a{i}", f"r{i}")]
        tensor = f"r{i}"
    nodes[-1] = op("Identity", "a3", "y")
    return model(nodes, weights | biases, SHAPE, opset=13)


def _shift(source: bytes, quantized: Serialized, given: list[dict[str, np.ndarray]]) -> float:
    """How far the means of channels are off, relative to how large the outputs are."""
    assert isinstance(quantized, bytes)
    outputs = [(run(source, feeds)[0], run(quantized, feeds)[0]) for feeds in given]
    wanted, got = (np.concatenate(arrays) for arrays in zip(*outputs, strict=True))
    means = (got - wanted).mean((0, 2, 3))
    return float(np.linalg.norm(means) / np.abs(wanted).mean())


def _shifts(proto: onnx.ModelProto, rng: Rng) -> tuple[float, float]:
    """Those without correction and with it, on other pictures than it was made with."""
    source = proto.SerializeToString()
    pictures = [{"x": rng.random(SHAPE, np.float32)} for _ in range(60)]
    fit, judge = pictures[:30], pictures[30:]
    ranges = calibrate(source, fit)
    corrected = with_corrected_biases(source, ranges, iter(fit))
    plain, better = (quantize(model, ranges).model for model in (source, corrected))
    return _shift(source, plain, judge), _shift(source, better, judge)


def _usual(shifts: Callable[[], tuple[float, float]]) -> float:
    """The median share of a shift that is left by correction: one network in five may be odd."""
    return statistics.median(corrected / plain for plain, corrected in (shifts() for _ in range(5)))


@pytest.mark.parametrize("bias", [False, True])
def test_means_are_right_on_new_pictures(rng: Rng, bias: bool) -> None:
    assert _usual(lambda: _shifts(_deep(rng, bias=bias), rng)) < 0.4


def test_only_the_nodes_in_int8_are_corrected(rng: Rng) -> None:
    proto = _deep(rng, bias=True)
    source = proto.SerializeToString()
    pictures = [{"x": rng.random(SHAPE, np.float32)} for _ in range(4)]
    ranges = calibrate(source, pictures)
    data = with_corrected_biases(source, ranges, pictures, {"a1"})
    assert isinstance(data, bytes)
    corrected = onnx.load_from_string(data)
    changed = [new for new, old in zip(corrected.graph.node, proto.graph.node, strict=True)
               if new != old]  # fmt: skip
    assert [list(node.input) for node in changed] == [["r0", "w1", "b1.corrected"]]
    names = Counter(tensor.name for tensor in corrected.graph.initializer)
    assert "b1" not in names
    assert {"b0", "b2", "b1.corrected"} <= names.keys()
    arrays = {t.name: numpy_helper.to_array(t) for t in corrected.graph.initializer}
    assert arrays["b1.corrected"].dtype == np.float32


def test_a_layer_whose_result_is_an_output(rng: Rng) -> None:
    """The quantizer renames what is in front of its own nodes there."""

    def network() -> onnx.ModelProto:
        weights = {"w": conv_weight(rng, 8, 3, 3, 3), "v": conv_weight(rng, 8, 8, 3, 3)}
        for weight in weights.values():
            weight[:, 0, 0, 0] *= 30
        nodes = [op("Conv", "x w", "a"), op("Conv", "a v", "y")]
        return model(nodes, weights, SHAPE, opset=13, outputs="y a")

    assert _usual(lambda: _shifts(network(), rng)) < 0.4


def test_no_pictures(rng: Rng) -> None:
    source = _deep(rng, bias=True).SerializeToString()
    ranges = calibrate(source, [{"x": rng.random(SHAPE, np.float32)}])
    with pytest.raises(DataError, match="no pictures"):
        with_corrected_biases(source, ranges, [])
    assert with_corrected_biases(source, ranges, [], []) is source
