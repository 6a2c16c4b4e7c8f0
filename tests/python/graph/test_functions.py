"""The function bodies of our operators mean the same in every opset and to every reader."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.inliner
import onnxruntime
import pytest
from graph_helpers import (
    FLOAT,
    Array,
    as_node,
    assert_same,
    conv_weight,
    feed,
    model,
    op,
    run,
    vector,
)
from onnx.reference import ReferenceEvaluator
from op_sessions import ORT_ERRORS, create_session
from rewrite_helpers import load

from alcs_onnx.codebooks import get_codebook, quantize
from alcs_onnx.graph import Model, Node, load_model, serialize
from alcs_onnx.graph.activations import GATES
from alcs_onnx.graph.functions import SPARSE_CONVS, sparse_conv_function, used_functions
from alcs_onnx.graph.weight_bodies import PACKED, PACKING
from alcs_onnx.packed_format import pack_quantized
from alcs_onnx.rewrite import rewrite
from alcs_onnx.sparse_format import OP_CONV, OP_DOMAIN, OP_MAX_POOL, group_mask_to_weight_mask, pack
from alcs_onnx.types import Activation

Rng = np.random.Generator
#: Those on floats; see custom_ops/test_integer_conv.py for the others.
FLOAT_CONVS = [name for name, op in SPARSE_CONVS.items() if not op.integers]
NEWEST = onnx.defs.onnx_opset_version()

#: Weight, attributes that are not the default, x.
GEOMETRIES: dict[str, tuple[tuple[int, ...], dict[str, Any], tuple[int, ...]]] = {
    "2-D": ((12, 6, 3, 3), {"pads": [1, 0, 0, 1], "strides": [2, 1]}, (2, 6, 8, 7)),
    "1-D": ((6, 4, 5), {"pads": [2, 2], "dilations": [2]}, (2, 4, 17)),
    "grouped": ((10, 3, 3, 3), {"group": 2, "pads": [1, 1, 1, 1]}, (1, 6, 6, 5)),
    "depthwise": ((6, 1, 3, 3), {"group": 6, "dilations": [1, 2]}, (1, 6, 7, 9)),
}
#: Operators from a to y.
ACTIVATIONS = {
    Activation(): [op("Identity", "a", "y")],
    Activation(low=0.0): [op("Relu", "a", "y")],
    Activation(low=-0.5, high=0.75): [op("Clip", "a lo hi", "y")],
    Activation(slope=0.1): [op("LeakyRelu", "a", "y", alpha=0.1)],
    Activation(slope=-0.3, low=-0.5, high=0.75): [
        op("LeakyRelu", "a", "b", alpha=-0.3),
        op("Clip", "b lo hi", "y"),
    ],
    **{
        Activation(gate=gate.number): [
            *(
                op(call.op_type, "a" if i == 0 else f"f{i}", f"f{i + 1}", None, **call.attributes)
                for i, call in enumerate(gate.factor)
            ),
            op("Mul", f"a f{len(gate.factor)}", "y"),
        ]
        for gate in GATES.values()
    },
}
BOUNDS = {"lo": np.array(-0.5, np.float32), "hi": np.array(0.75, np.float32)}


@cache
def newest_of_runtime() -> int:
    """The newest opset that the installed ONNX Runtime reads."""
    for opset in range(NEWEST, 12, -1):
        try:
            proto = model([op("Relu", "x", "y")], {}, opset=opset)
            onnxruntime.InferenceSession(proto.SerializeToString())
        except ORT_ERRORS:
            continue
        return opset
    raise AssertionError("ONNX Runtime reads no opset from 13 on")


def some_opset(name: str) -> int:
    return newest_of_runtime() if name == "newest" else int(name)


@dataclass
class Layer:
    """One random convolution, as an operator of ours and as a Conv; both from x to y."""

    op_type: str
    x_shape: tuple[int, ...]
    attributes: dict[str, Any]
    numbers: dict[str, int]
    stored: dict[str, Array]
    others: dict[str, Array]

    def model(self, nodes: Sequence[onnx.NodeProto], opset: int) -> onnx.ModelProto:
        """The nodes, what is to be added if anything is, and the function bodies."""
        if SPARSE_CONVS[self.op_type].residual:
            nodes = [op("Conv", "x v", "r", "residual", **self.attributes), *nodes]
        read = {name for node in nodes for name in node.input}
        weights = {k: v for k, v in (self.stored | self.others).items() if k in read}
        return with_bodies(nodes, weights, self.x_shape, opset)

    def ours(self, activation: Activation, opset: int) -> onnx.ModelProto:
        residual = " r" if SPARSE_CONVS[self.op_type].residual else ""
        attributes = self.attributes | self.numbers | vars(activation)
        inputs = f"x {' '.join(self.stored)} bias{residual}"
        return self.model(
            [op(self.op_type, inputs, "y", "conv", domain=OP_DOMAIN, **attributes)], opset
        )

    def plain(self, activation: Activation, opset: int) -> onnx.ModelProto:
        residual = SPARSE_CONVS[self.op_type].residual
        nodes = [op("Conv", "x w bias", "c" if residual else "a", "conv", **self.attributes)]
        nodes += [op("Add", "c r", "a")] if residual else []
        return self.model([*nodes, *ACTIVATIONS[activation]], opset)


def random_layer(op_type: str, geometry: str, density: float, rng: Rng) -> Layer:
    shape, given, x_shape = GEOMETRIES[geometry]
    axes = len(shape) - 2
    attributes: dict[str, Any] = {"group": 1, "pads": [0] * 2 * axes, "strides": [1] * axes}
    attributes |= {"dilations": [1] * axes, "kernel_shape": shape[2:], **given}
    group, g = attributes["group"], 1 if shape[1] == 1 else 4
    groups = (group * -(-shape[0] // group // g), int(np.prod(shape[1:])))
    keep = rng.random(groups) < density
    mask = group_mask_to_weight_mask(keep, shape, group, g)
    weight = np.where(mask, 3 * conv_weight(rng, *shape), np.float32(0))
    numbers = {"out_channels": shape[0], "in_channels": shape[1] * group, "simd_group": g}
    if SPARSE_CONVS[op_type].form is PACKED:
        quantized = quantize(weight, get_codebook("3bit"), keep=mask, per_channel=True)
        packed = pack_quantized(quantized, group, g, keep)
        weight = quantized.values()
        stored: dict[str, Array] = {
            "codes": packed.codes,
            "gaps": packed.gaps,
            "scales": packed.scales,
        }
        numbers |= {name: getattr(packed, name) for name in PACKING}
    else:
        sparse = pack(weight, group, g, keep)
        stored = {"values": sparse.values, "positions": sparse.positions}
    others = {"w": weight, "v": conv_weight(rng, *shape), "bias": vector(rng, shape[0])}
    return Layer(op_type, x_shape, attributes, numbers, stored, {**others, **BOUNDS})


def with_bodies(
    nodes: Sequence[onnx.NodeProto], weights: dict[str, Array], shape: tuple[int, ...], opset: int
) -> onnx.ModelProto:
    """From x to y, which has the rank of x."""
    proto = model(nodes, weights, shape, opset=opset, domains={OP_DOMAIN: 1})
    names = [f"y{axis}" for axis in range(len(shape))]
    proto.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info("y", FLOAT, names))
    proto.functions.extend(used_functions(map(as_node, nodes), opset))
    return proto


def referenced(proto: onnx.ModelProto, feeds: dict[str, Array]) -> list[Array]:
    return [np.asarray(y) for y in ReferenceEvaluator(proto).run(None, feeds)]


@pytest.mark.parametrize(
    ("geometry", "density"), [*((name, 0.5) for name in GEOMETRIES), ("grouped", 0.0)]
)
@pytest.mark.parametrize("op_type", FLOAT_CONVS)
@pytest.mark.parametrize("opset", ["12", "13", "17", "newest"])
def test_all_readers_agree(
    rng: Rng, opset: str, op_type: str, geometry: str, density: float
) -> None:
    """Without the library, with it, by the reference, inlined, and as a Conv: every activation."""
    layer = random_layer(op_type, geometry, density, rng)
    feeds = feed(layer.x_shape, rng)
    for activation in ACTIVATIONS:
        proto = layer.ours(activation, some_opset(opset))
        onnx.checker.check_model(proto, full_check=True)
        written = proto.SerializeToString()
        expected = run(layer.plain(activation, some_opset(opset)).SerializeToString(), feeds)
        assert_same(run(written, feeds), expected, 1e-5)
        assert_same(run(written, feeds, optimise=False), expected, 1e-5)
        assert_same(create_session(written).run(None, feeds), expected, 1e-5)
        assert_same(referenced(proto, feeds), expected, 1e-5)
        inlined = onnx.inliner.inline_local_functions(proto)
        assert not inlined.functions
        assert_same(run(inlined.SerializeToString(), feeds), expected, 1e-5)


@pytest.mark.parametrize("op_type", FLOAT_CONVS)
def test_every_opset_is_valid(rng: Rng, op_type: str) -> None:
    """Those too that onnx knows and ONNX Runtime does not, yet."""
    layer = random_layer(op_type, "grouped", 0.5, rng)
    feeds = feed(layer.x_shape, rng)
    activation = Activation(slope=-0.3, low=-0.5, high=0.75)
    expected = run(layer.plain(activation, 12).SerializeToString(), feeds)
    for opset in range(12, NEWEST + 1):
        proto = layer.ours(activation, opset)
        onnx.checker.check_model(proto, full_check=True)
        (function,) = proto.functions
        assert [(o.domain, o.version) for o in function.opset_import] == [("", opset)]
        assert_same(referenced(proto, feeds), expected, 1e-5)


@pytest.mark.parametrize("opset", ["12", "newest"])
@pytest.mark.parametrize("op_type", FLOAT_CONVS)
def test_runtime_folds_all_but_the_convolution_and_its_activation(
    tmp_path: Path, rng: Rng, op_type: str, opset: str
) -> None:
    """What is left to run of a body is what is left of the Conv and activation themselves."""
    layer = random_layer(op_type, "2-D", 0.5, rng)
    for activation in ACTIVATIONS:
        left = [
            optimised(proto, tmp_path / "optimised.onnx")
            for proto in (
                layer.ours(activation, some_opset(opset)),
                layer.plain(activation, some_opset(opset)),
            )
        ]
        assert left[0] == left[1], activation


def optimised(proto: onnx.ModelProto, path: Path) -> Counter[str]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(path)
    onnxruntime.InferenceSession(proto.SerializeToString(), options)
    return Counter(node.op_type for node in onnx.load(path).graph.node)


@pytest.mark.parametrize("op_type", FLOAT_CONVS)
def test_a_body_is_right_for_slopes_that_it_was_not_written_for(rng: Rng, op_type: str) -> None:
    """As when a tool moves a node into another file."""
    layer = random_layer(op_type, "2-D", 0.5, rng)
    feeds = feed(layer.x_shape, rng)
    for activation in ACTIVATIONS:
        proto = layer.ours(activation, 17)
        expected = run(layer.plain(activation, 17).SerializeToString(), feeds)
        for slopes in ([], [0.2, 0.7]):
            del proto.functions[:]
            proto.functions.append(sparse_conv_function(op_type, 17, slopes))
            onnx.checker.check_model(proto, full_check=True)
            assert_same(run(proto.SerializeToString(), feeds), expected, 1e-5)
            assert_same(referenced(proto, feeds), expected, 1e-5)


@pytest.mark.parametrize(
    "slope", [-np.inf, -1e30, -1e-7, -0.0, 1e-45, 0.1, float(np.float32(0.1)), 1]
)
def test_slopes_stand_in_a_body_exactly(slope: float) -> None:
    attributes = {"slope": slope, "low": 0.0, "high": 1.0, "gate": 0}
    node = Node("conv", OP_CONV, (), (), attributes, OP_DOMAIN)
    (function,) = used_functions([node, node], 17)
    branches = [a.g.node[0] for n in function.node for a in n.attribute if a.HasField("g")]
    leaky = [node.attribute[0].f for node in branches if node.op_type == "LeakyRelu"]
    assert leaky == ([np.float32(slope)] if np.isfinite(slope) and slope != 1 else [])


@pytest.mark.parametrize("opset", ["12", "13", "17", "newest"])
@pytest.mark.parametrize("axes", [1, 2])
def test_pools_mean_the_same_in_every_opset(rng: Rng, opset: str, axes: int) -> None:
    attributes = {"kernel_shape": [3] * axes, "strides": [2] * axes, "pads": [1] * 2 * axes}
    node = op(OP_MAX_POOL, "x", "y", "pool", domain=OP_DOMAIN, **attributes)
    shape = (2, 16, 11, 12)[: 2 + axes]
    proto = with_bodies([node], {}, shape, some_opset(opset))
    onnx.checker.check_model(proto, full_check=True)
    feeds = feed(shape, rng)
    plain = model([op("MaxPool", "x", "y", None, **attributes)], {}, shape, opset=17)
    expected = run(plain.SerializeToString(), feeds)
    np.testing.assert_array_equal(run(proto.SerializeToString(), feeds), expected)
    np.testing.assert_array_equal(referenced(proto, feeds), expected)


def test_a_written_file_with_leaky_relu_runs_in_the_reference(tmp_path: Path, rng: Rng) -> None:
    nodes = [
        op("Conv", "x w b", "a", "first", pads=[1, 1, 1, 1]),
        op("LeakyRelu", "a", "r", alpha=0.1),
        op("Conv", "r p", "t", "second"),
        op("Add", "t r", "s"),
        op("LeakyRelu", "s", "y", alpha=0.3),
    ]
    weights = {
        "w": conv_weight(rng, 16, 8, 3, 3), "b": vector(rng, 16),
        "p": conv_weight(rng, 16, 16, 1, 1),
    }  # fmt: skip
    loaded = load(tmp_path, nodes, weights)
    check_reference(loaded, feed((1, 8, 9, 9), rng))


def test_shared_file_with_leaky_relu_runs_in_the_reference(shared: Path, rng: Rng) -> None:
    path = shared / "cases" / "k17_leakyrelu_slope_body__onnx_reference_evaluator_fails.onnx"
    if not path.is_file():
        pytest.skip(f"no shared models at {path}; set ALCS_SHARED")
    loaded = load_model(path)
    check_reference(loaded, {i.name: feed(i.shape, rng)["x"] for i in loaded.inputs})


def check_reference(loaded: Model, feeds: dict[str, Array]) -> None:
    written = rewrite(loaded).model
    assert all(node.domain == OP_DOMAIN for node in written.nodes if "Conv" in node.op_type)
    expected = run(serialize(loaded), feeds, optimise=False)
    assert_same(referenced(onnx.load_from_string(serialize(written)), feeds), expected)
