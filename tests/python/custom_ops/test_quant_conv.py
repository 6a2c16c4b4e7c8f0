"""Quantized weights in a written file: with the library, without it, loaded again, corrupted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from graph_helpers import assert_same, conv_weight, feed, model, op, op_types, run, store, vector
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, numpy_helper
from op_sessions import create_session, refusal
from quant_models import X, net, pruned, with_values
from rewrite_helpers import load, load_again

from alcs_onnx.codebooks import CODEBOOKS, get_codebook, quantize
from alcs_onnx.errors import ModelError
from alcs_onnx.graph import (
    Model,
    conv_layer,
    conv_layers,
    int4_dtype,
    load_model,
    save_model,
    serialize,
)
from alcs_onnx.rewrite import RewriteResult, quantize_weights, rewrite
from alcs_onnx.sparse_format import OP_DOMAIN
from alcs_onnx.types import QuantizedWeight

Rng = np.random.Generator


def check_agreement(result: RewriteResult, expected: Model, rng: Rng) -> None:
    """The written file, with and without the library, computes what the dense model does."""
    written = serialize(result.model)
    onnx.checker.check_model(written, full_check=True)
    feeds = feed(X, rng)
    reference = run(serialize(expected), feeds, optimise=False)
    assert_same(create_session(written).run(None, feeds), reference)
    assert_same(run(written, feeds), reference)
    assert_same(run(written, feeds, optimise=False), reference)


@pytest.mark.parametrize("density", [0.0, 0.05, 0.5, 1.0])
@pytest.mark.parametrize("g", [1, 4, 8, 16])
@pytest.mark.parametrize("name", CODEBOOKS)
def test_levels_and_group_sizes(
    tmp_path: Path, rng: Rng, name: str, g: int, density: float
) -> None:
    loaded = net(tmp_path, rng)
    plan, levels = pruned(loaded, rng, name, g, density, per_channel=g == 4)
    result = rewrite(loaded, plan, quantized=levels)
    assert op_types(result.model) == ["QuantSparseConv", "QuantSparseConvAdd"]
    bits = {node.int_attribute("bits", 0) for node in result.model.nodes}
    assert bits == {get_codebook(name).bits}
    check_agreement(result, with_values(loaded, levels), rng)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_geometry(tmp_path: Path, data: st.DataObject) -> None:
    """Conv groups, last blocks that are padded, patterns of any density, every opset."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    group = data.draw(st.sampled_from([1, 2, 4, 8]))
    opset = data.draw(st.sampled_from([12, 13, 14, 17, 18, 21]))
    loaded = net(tmp_path, rng, group * data.draw(st.integers(1, 7)), group, opset)
    name = data.draw(st.sampled_from(sorted(CODEBOOKS)))
    density = data.draw(st.floats(0, 1))
    g = data.draw(st.sampled_from([1, 2, 4, 8]))
    plan, levels = pruned(loaded, rng, name, g, density, data.draw(st.booleans()))
    result = rewrite(loaded, plan, quantized=levels)
    check_agreement(result, with_values(loaded, levels), rng)


def test_dummies_cost_nothing_at_run_time(tmp_path: Path, rng: Rng) -> None:
    loaded = net(tmp_path, rng)
    plan, _ = pruned(loaded, rng, "3bit", 1, 1)
    plan.keep["first"].reshape(-1)[100:-1] = False  # one gap of a thousand groups
    levels = {
        layer.name: quantize(
            loaded.initializers[layer.weight],
            get_codebook("3bit"),
            keep=plan.keep[layer.name].reshape(layer.weight_shape),
        )
        for layer in conv_layers(loaded)
    }
    result = rewrite(loaded, plan, quantized=levels)
    stored = [node.int_attribute("stored", 0) for node in result.model.nodes]
    computed = [row.stored_groups for row in result.layers]
    assert computed == [np.count_nonzero(levels[row.layer].levels) for row in result.layers]
    assert sum(stored) > sum(computed)
    check_agreement(result, with_values(loaded, levels), rng)


def test_binary_with_zeros_inside_groups_is_stored_as_ternary(tmp_path: Path, rng: Rng) -> None:
    loaded = net(tmp_path, rng)
    _, levels = pruned(loaded, rng, "binary", 1, 0.5)
    result = rewrite(loaded, simd_group=8, quantized=levels)
    assert [node.int_attribute("bits", 0) for node in result.model.nodes] == [2, 2]
    check_agreement(result, with_values(loaded, levels), rng)


@pytest.mark.parametrize("name", ["binary", "4bit"])
def test_written_file_loads_again(tmp_path: Path, rng: Rng, name: str) -> None:
    loaded = net(tmp_path, rng)
    plan, levels = pruned(loaded, rng, name, 4, 0.4, per_channel=True)
    result = rewrite(loaded, plan, quantized=levels)
    again = load_again(result.model, tmp_path)
    assert op_types(again) == ["Conv", "Relu", "Conv", "Add", "LeakyRelu"]
    for layer in conv_layers(again):
        np.testing.assert_array_equal(again.initializers[layer.weight], levels[layer.name].values())
    check_agreement(rewrite(again), with_values(loaded, levels), rng)


def test_layers_not_named_stay_float(tmp_path: Path, rng: Rng) -> None:
    loaded = net(tmp_path, rng)
    _, levels = pruned(loaded, rng, "4bit", 8, 1)
    result = rewrite(loaded, quantized={"second": levels["second"]})
    assert op_types(result.model) == ["SimdSparseConv", "QuantSparseConvAdd"]
    check_agreement(result, with_values(loaded, {"second": levels["second"]}), rng)


@pytest.mark.parametrize("name", ["ternary", "4bit", "8bit"])
def test_file_is_as_small_as_the_arithmetic(tmp_path: Path, rng: Rng, name: str) -> None:
    """A layer of 590 000 weights, a quarter kept: 5 % over bits of weights and indices."""
    nodes = [op("Conv", "x w", "y", "conv", pads=[1, 1, 1, 1])]
    weights = {"w": conv_weight(rng, 256, 256, 3, 3)}
    loaded = load(tmp_path, nodes, weights, (1, 256, 4, 4))
    plan, levels = pruned(loaded, rng, name, 4, 0.25)
    result = rewrite(loaded, plan, quantized=levels)
    save_model(result.model, tmp_path / "small.onnx")
    gaps = np.diff(np.flatnonzero(plan.keep["conv"]), prepend=-1) - 1
    bits = 4 * get_codebook(name).bits
    least = min(int((gaps // 2**i + 1).sum()) * (bits + i) for i in range(16)) / 8
    size = (tmp_path / "small.onnx").stat().st_size
    functions_and_bias = 4 * 256 + 8000
    assert least <= size <= 1.05 * least + functions_and_bias


def altered(tmp_path: Path, rng: Rng, change: dict[str, Any]) -> bytes:
    """One valid node with some inputs or attributes exchanged (None: left out)."""
    nodes = [op("Conv", "x w", "y", "layer3.conv", pads=[1, 1, 1, 1])]
    loaded = load(tmp_path, nodes, {"w": conv_weight(rng, 8, 8, 3, 3)}, X)
    plan, levels = pruned(loaded, rng, "3bit", 4, 0.5)
    proto = onnx.load_from_string(serialize(rewrite(loaded, plan, quantized=levels).model))
    (node,) = proto.graph.node
    for name, value in change.items():
        attribute = next((a for a in node.attribute if a.name == name), None)
        if attribute is not None:
            node.attribute.remove(attribute)
            if value is not None:
                node.attribute.append(onnx.helper.make_attribute(name, value))
            continue
        tensor = next(t for t in proto.graph.initializer if t.name.endswith(name))
        array = value(numpy_helper.to_array(tensor).copy())
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    return proto.SerializeToString()


def test_unaltered_node_is_accepted(tmp_path: Path, rng: Rng) -> None:
    create_session(altered(tmp_path, rng, {}))


CORRUPT: dict[str, tuple[dict[str, Any], str]] = {
    "short codes": ({"codes": lambda a: a[:-1]}, "codes have"),
    "long codes": ({"codes": lambda a: np.append(a, a)}, "codes have"),
    "no codes": ({"codes": lambda a: a[:0]}, "codes have 0 bytes"),
    "codes in rows": ({"codes": lambda a: a.reshape(1, -1)}, "'codes' has the shape"),
    "short gaps": ({"gaps": lambda a: a[:-1]}, "gaps have"),
    "gaps that leave the layer": ({"gaps": lambda a: np.full_like(a, 0xFF)}, "expected less"),
    "no scale": ({"scales": lambda a: a[:0]}, "0 scales"),
    "too many scales": ({"scales": lambda a: np.repeat(a, 3)}, "3 scales, expected 1 or 8"),
    "scale that is no number": ({"scales": lambda a: a * np.nan}, "not a finite number"),
    "infinite scale": ({"scales": lambda a: a * np.inf}, "not a finite number"),
    "short bias": ({"bias": lambda a: a[:-1]}, "7 biases"),
    "no bits": ({"bits": None}, "'bits' is missing"),
    "float bits": ({"bits": 3.0}, "'bits' is missing or is not an integer"),
    "16 bits": ({"bits": 16}, "bits is 16, expected 1 to 8"),
    "other bits": ({"bits": 5}, "codes have"),
    "huge index": ({"index_bits": 2**40}, "index_bits is"),
    "negative index": ({"index_bits": -1}, "index_bits is -1"),
    "more groups": ({"stored": 1000}, "stored is 1000, expected 0 to 144"),
    "fewer groups": ({"stored": 1}, "codes have"),
    "huge stored": ({"stored": 2**62}, "stored is"),
    "negative stored": ({"stored": -1}, "stored is -1"),
    "no step": ({"level_step": 0}, "level_step is 0"),
    "huge level": ({"first_level": -(2**63)}, "first_level is"),
    "other group size": ({"simd_group": 2}, "codes have"),
}


@pytest.mark.parametrize("name", CORRUPT)
def test_corrupt_weights_are_refused(tmp_path: Path, rng: Rng, name: str) -> None:
    """When the session is created, and when the file is loaded; both name the node."""
    change, message = CORRUPT[name]
    written = altered(tmp_path, rng, change)
    told = refusal(written)
    assert "QuantSparseConv node 'layer3.conv': " in told
    assert message in told
    (tmp_path / "corrupt.onnx").write_bytes(written)
    if name not in ("short bias", "float bits"):  # which reading takes as they are meant
        with pytest.raises(ModelError, match=r"'layer3\.conv' \(QuantSparseConv\)"):
            load_model(tmp_path / "corrupt.onnx")


def test_weights_that_are_not_constant_are_refused(tmp_path: Path, rng: Rng) -> None:
    proto = onnx.load_from_string(altered(tmp_path, rng, {}))
    tensor = next(t for t in proto.graph.initializer if t.name.endswith("gaps"))
    proto.graph.input.append(
        onnx.helper.make_tensor_value_info(tensor.name, TensorProto.UINT8, list(tensor.dims))
    )
    proto.graph.initializer.remove(tensor)
    message = refusal(proto.SerializeToString())
    assert "node 'layer3.conv': input 'gaps' has to be a constant initializer" in message


def test_unknown_operator_of_ours_is_refused(tmp_path: Path, rng: Rng) -> None:
    node = op("FutureConv", "x w", "y", "conv", domain=OP_DOMAIN)
    proto = model([node], {"w": conv_weight(rng, 8, 8, 3, 3)}, X, domains={OP_DOMAIN: 1})
    with pytest.raises(ModelError, match="has no operator 'FutureConv'"):
        load_model(store(proto, tmp_path))


def test_weights_of_another_shape_are_refused(tmp_path: Path, rng: Rng) -> None:
    loaded = net(tmp_path, rng)
    _, levels = pruned(loaded, rng, "4bit", 8, 1)
    with pytest.raises(ModelError, match=r"'first' has shape \[16, 16, 1, 1\]"):
        rewrite(loaded, quantized={"first": levels["second"]})
    with pytest.raises(ModelError, match="'third': there is no such convolution"):
        rewrite(loaded, quantized={"third": levels["second"]})
    three = QuantizedWeight(levels["first"].levels, np.ones(3, np.float32), get_codebook("4bit"))
    for quantized in (rewrite, quantize_weights):
        with pytest.raises(ModelError, match="'first' needs 1 or 16 finite scales, got 3"):
            quantized(loaded, quantized={"first": three})


@pytest.mark.parametrize("opset", [13, 17, 21])
@pytest.mark.parametrize("name", ["binary", "4bit", "8bit"])
def test_layers_left_alone_are_small_in_the_file(
    tmp_path: Path, rng: Rng, name: str, opset: int
) -> None:
    """Stock ONNX Runtime folds levels and scales into the weights that the layers had."""
    loaded = net(tmp_path, rng, opset=opset)
    plan, levels = pruned(loaded, rng, name, 4, 0.5, per_channel=True)
    result = rewrite(loaded, plan, excluded=["first", "second"], quantized=levels)
    assert all("its weights are quantized" in row.reason for row in result.layers)
    check_agreement(result, with_values(loaded, levels), rng)
    small = opset >= 21 and get_codebook(name).bits <= 4 and int4_dtype() is not None
    stored = {a.dtype for a in result.model.initializers.values() if a.ndim == 4 and a.size > 100}
    assert stored == {int4_dtype() if small else np.dtype(np.int8)}

    options_path = tmp_path / "optimized.onnx"
    session_nodes(serialize(result.model), options_path)
    left = {node.op_type for node in onnx.load_model(options_path).graph.node}
    assert not left & {"Cast", "Mul", "DequantizeLinear"}

    again = load_again(result.model, tmp_path)
    assert conv_layer(again, "first").weight_shape == (16, 8, 3, 3)
    for layer in conv_layers(again):
        np.testing.assert_array_equal(again.initializers[layer.weight], levels[layer.name].values())


def session_nodes(source: bytes, optimized: Path) -> None:
    """Write what ONNX Runtime makes of a model."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(optimized)
    onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def test_planned_layer_left_alone_is_masked(tmp_path: Path, rng: Rng) -> None:
    loaded = net(tmp_path, rng)
    plan, _ = pruned(loaded, rng, "4bit", 4, 0.5)
    _, dense = pruned(loaded, rng, "4bit", 4, 1)
    left = rewrite(loaded, plan, excluded=["first", "second"], quantized=dense)
    stored = rewrite(loaded, plan, quantized=dense)
    feeds = feed(X, rng)
    assert_same(run(serialize(left.model), feeds), run(serialize(stored.model), feeds))
    assert left.layers[0].reason.endswith(
        ", its pruned weights are zeros, its weights are quantized"
    )


@pytest.mark.parametrize("transposed", [0, 1])
def test_whole_model_is_quantized(tmp_path: Path, rng: Rng, transposed: int) -> None:
    """Nodes of any kind, models that are not rewritten at all."""
    nodes = [
        op("Conv", "x w", "a", "conv"),
        op("Flatten", "a", "f"),
        op("Gemm", "f g b", "y", "fc", transB=transposed),
    ]
    weights = {
        "w": conv_weight(rng, 8, 8, 9, 9), "b": vector(rng, 5),
        "g": conv_weight(rng, *((5, 8) if transposed else (8, 5))),
    }  # fmt: skip
    loaded = load(tmp_path, nodes, weights, X)
    quantized = {
        name: quantize(loaded.initializers[weight], get_codebook("8bit"), per_channel=True)
        for name, weight in (("conv", "w"), ("fc", "g"))
    }
    small = quantize_weights(loaded, quantized)
    values = {"w": quantized["conv"].values(), "g": quantized["fc"].values()}
    feeds = feed(X, rng)
    expected = run(serialize(loaded.with_initializers(values)), feeds)
    assert_same(run(serialize(small), feeds), expected, relative=1e-6)
    assert small.weight_bytes < loaded.weight_bytes / 3
    again = load_again(small, tmp_path)
    kinds = sorted(node.op_type for node in again.nodes)
    assert kinds == ["Conv", "DequantizeLinear", "DequantizeLinear", "Flatten", "Gemm"]
    with pytest.raises(ModelError, match="'relu' has no constant weight"):
        quantize_weights(loaded, {"relu": quantized["fc"]})
    with pytest.raises(ModelError, match="the node needs"):
        quantize_weights(loaded, {"fc": quantized["conv"]})


@pytest.mark.parametrize("per_channel", [True, False])
def test_whole_model_is_quantized_in_opset_12(tmp_path: Path, rng: Rng, per_channel: bool) -> None:
    """Its DequantizeLinear has one scale only: where there are more, Cast and Mul stand for it."""
    nodes = [op("Conv", "x w", "y", "conv")]
    loaded = load(tmp_path, nodes, {"w": conv_weight(rng, 8, 8, 3, 3)}, X, opset=12)
    weight = quantize(loaded.initializers["w"], get_codebook("8bit"), per_channel=per_channel)
    small = quantize_weights(loaded, {"conv": weight})
    assert small.opset == 12
    made = {"Cast", "Mul"} if per_channel else {"DequantizeLinear"}
    assert {node.op_type for node in small.nodes} == {"Conv", *made}
    feeds = feed(X, rng)
    expected = run(serialize(loaded.with_initializers({"w": weight.values()})), feeds)
    assert_same(run(serialize(small), feeds), expected, relative=1e-6)


def test_small_integers_in_external_data(
    tmp_path: Path, rng: Rng, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As files beyond 2 GB have them: 4-bit levels lie two to a byte."""
    loaded = net(tmp_path, rng, opset=21)
    _, levels = pruned(loaded, rng, "4bit", 4, 0.5)
    small = quantize_weights(loaded, levels)
    feeds = feed(X, rng)
    expected = run(serialize(small), feeds)
    monkeypatch.setattr("alcs_onnx.graph.save._LIMIT", 1000)
    monkeypatch.setattr("alcs_onnx.graph.proto.SMALL_TENSOR", 50)
    save_model(small, tmp_path / "large.onnx")
    assert (tmp_path / "large.onnx.data").is_file()
    assert_same(run(tmp_path / "large.onnx", feeds), expected, relative=0)
