"""The integers of a quantized file: what they stand for, and others in their place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from graph_helpers import assert_same, conv_weight, feed, model, op, run, store, vector

from alcs_onnx.graph import Model, load_model, serialize
from alcs_onnx.quantization import (
    Quantized,
    QuantizeOptions,
    calibrate,
    quantize,
    stored_layers,
    with_float_constants,
    with_integers,
)

Rng = np.random.Generator
SHAPE = (1, 3, 10, 10)
SEVEN = QuantizeOptions(reduce_range=True)
"""Right on every machine."""


def _source(rng: Rng) -> bytes:
    nodes = [op("Conv", "x w0 b0", "a", "one"), op("Relu", "a", "r"),
             op("Conv", "r w1", "b", "two", group=2), op("GlobalAveragePool", "b", "g"),
             op("Flatten", "g", "f"), op("Gemm", "f w2", "y", "three", transB=1)]  # fmt: skip
    weights = {"w0": conv_weight(rng, 8, 3, 3, 3), "b0": vector(rng, 8),
               "w1": conv_weight(rng, 6, 4, 1, 1), "w2": conv_weight(rng, 5, 6)}  # fmt: skip
    return model(nodes, weights, SHAPE, opset=13).SerializeToString()


def _made(rng: Rng, options: QuantizeOptions = SEVEN) -> tuple[bytes, Quantized]:
    source = _source(rng)
    pictures = [feed(SHAPE, rng) for _ in range(8)]
    return source, quantize(source, calibrate(source, pictures), options=options)


def _loaded(made: Quantized, folder: Path) -> Model:
    assert isinstance(made.model, bytes)
    return load_model(store(onnx.load_from_string(made.model), folder), needs_conv=False)


@pytest.mark.parametrize("per_channel", [True, False])
def test_integers_times_steps_are_the_weights(tmp_path: Path, rng: Rng, per_channel: bool) -> None:
    options = QuantizeOptions(per_channel=per_channel, reduce_range=True)
    source, made = _made(rng, options)
    loaded = _loaded(made, tmp_path)
    first, second = stored_layers(made, loaded, options)
    assert (first.output, second.output) == ("a", "b")
    original = {t.name: onnx.numpy_helper.to_array(t)
                for t in onnx.load_from_string(source).graph.initializer}  # fmt: skip
    for layer, weight in ((first, "w0"), (second, "w1")):
        integers = loaded.initializers[layer.weight]
        assert np.abs(integers).max() <= layer.most == 64
        values = integers * layer.steps[:, None, None, None]
        assert np.abs(values - original[weight]).max() <= 0.51 * layer.steps.max()
    assert (first.bias != "", second.bias) == (True, "")
    bias = loaded.initializers[first.bias] * first.bias_steps
    np.testing.assert_allclose(bias, original["b0"], atol=first.bias_steps.max())


def test_weights_of_other_types_are_none_of_these(tmp_path: Path, rng: Rng) -> None:
    options = QuantizeOptions(weight="u8", reduce_range=True)
    _, made = _made(rng, options)
    assert stored_layers(made, _loaded(made, tmp_path), options) == ()


def test_float_constants_compute_the_same(tmp_path: Path, rng: Rng) -> None:
    _, made = _made(rng)
    loaded = _loaded(made, tmp_path)
    found = with_float_constants(loaded)
    assert len(found.nodes) < len(loaded.nodes)
    assert not any(
        node.is_op("DequantizeLinear") and node.inputs[0] in found.initializers
        for node in found.nodes
    )
    assert isinstance(made.model, bytes)
    x = feed(SHAPE, rng)
    assert_same(run(serialize(found), x, False), run(made.model, x, False), 1e-6)


def test_other_integers_change_nothing_else(tmp_path: Path, rng: Rng) -> None:
    _, made = _made(rng)
    first, _ = stored_layers(made, _loaded(made, tmp_path), SEVEN)
    zeros = np.zeros((8, 3, 3, 3), np.int64)
    found = with_integers(made, {first.weight: zeros})
    assert isinstance(found.model, bytes)
    assert isinstance(made.model, bytes)
    before, after = onnx.load_from_string(made.model), onnx.load_from_string(found.model)
    changed = [
        old.name
        for old, new in zip(before.graph.initializer, after.graph.initializer, strict=True)
        if old != new
    ]
    assert changed == [first.weight]
    assert (found.nodes, found.computed) == (made.nodes, made.computed)
    del before.graph.initializer[:], after.graph.initializer[:]
    assert before == after
