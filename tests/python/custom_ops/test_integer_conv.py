"""QLinearSparseConv in ONNX Runtime: the same bytes with the library, without it, everywhere."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import onnx.inliner
import pytest
from graph_helpers import as_node, run
from integer_models import (
    Array,
    IntegerCase,
    IntegerTensors,
    expected_integers,
    from_words,
    integer_feeds,
    integer_model,
    random_integers,
    to_words,
)
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator
from op_sessions import ORT_ERRORS, create_session, refusal

from alcs_onnx.graph.functions import used_functions

CASES: dict[str, IntegerCase] = {
    "3x3": IntegerCase(),
    "residual and Relu": IntegerCase(residual=True, low=0.0, simd_group=8, out_channels=16),
    "LeakyRelu": IntegerCase(slope=0.1, y_zero=60),
    "Clip": IntegerCase(low=-3.0, high=11.3),
    "pointwise": IntegerCase(kernel=(1, 1), pads=(0, 0, 0, 0), in_channels=16, density=1.0),
    "stride and dilation": IntegerCase(strides=(2, 1), dilations=(1, 2), pads=(1, 0, 2, 3)),
    "no whole words": IntegerCase(in_channels=3, out_channels=6, residual=True, x_zero=0),
    "one channel": IntegerCase(in_channels=1, out_channels=1),
    "depthwise": IntegerCase(in_channels=8, out_channels=8, group=8, slope=0.1, density=1.0),
    "depthwise 5x5, no whole words": IntegerCase(
        in_channels=6, out_channels=6, group=6, kernel=(5, 5), pads=(2, 2, 2, 2), strides=(2, 2)
    ),
    "depthwise without a kernel": IntegerCase(
        in_channels=8, out_channels=8, group=8, kernel=(4, 3), residual=True
    ),
    "conv groups": IntegerCase(in_channels=16, out_channels=24, group=2, simd_group=8),
    "ends of all ranges": IntegerCase(ends=True, x_zero=255, y_zero=0, residual=True),
    "other ends": IntegerCase(ends=True, x_zero=0, y_zero=255, residual=True, residual_zero=255),
    "1-D": IntegerCase(
        size=(17,), kernel=(5,), strides=(1,), pads=(2, 2), dilations=(2,), out_channels=12, batch=2
    ),
    "nothing stored": IntegerCase(density=0.0),
}


@pytest.mark.parametrize("name", CASES)
def test_all_readers_give_the_same_bytes(name: str) -> None:
    case = CASES[name]
    for seed in range(3):
        tensors = random_integers(replace(case, seed=seed))
        expected = expected_integers(case, tensors)
        proto = with_bodies(integer_model(case, tensors))
        onnx.checker.check_model(proto, full_check=True)
        written, feeds = proto.SerializeToString(), integer_feeds(tensors)
        inlined = onnx.inliner.inline_local_functions(proto)
        assert not inlined.functions
        for y in (
            create_session(written).run(None, feeds)[0],
            run(written, feeds)[0],
            run(written, feeds, optimise=False)[0],
            run(inlined.SerializeToString(), feeds)[0],
            referenced(proto, feeds),
        ):
            assert y.dtype == np.uint8
            np.testing.assert_array_equal(from_words(y, case.out_channels), expected)


@pytest.mark.parametrize("opset", [12, 17, 21])
def test_bodies_mean_the_same_in_every_opset(opset: int) -> None:
    case = CASES["no whole words"]
    tensors = random_integers(case)
    proto = with_bodies(integer_model(case, tensors, planes=True, opset=opset), opset)
    onnx.checker.check_model(proto, full_check=True)
    feeds, expected = integer_feeds(tensors, planes=True), expected_integers(case, tensors)
    np.testing.assert_array_equal(run(proto.SerializeToString(), feeds)[0], expected)
    np.testing.assert_array_equal(referenced(proto, feeds), expected)


@pytest.mark.parametrize("name", ["no whole words", "1-D", "depthwise", "conv groups"])
@pytest.mark.parametrize("dynamic", [False, True])
def test_planes_are_packed_and_unpacked(name: str, dynamic: bool) -> None:
    case = replace(CASES[name], batch=2)
    tensors = random_integers(case)
    proto = with_bodies(integer_model(case, tensors, dynamic=dynamic, planes=True))
    feeds, expected = integer_feeds(tensors, planes=True), expected_integers(case, tensors)
    written = proto.SerializeToString()
    for threads in (1, 2):
        y = create_session(written, threads).run(None, feeds)[0]
        np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(run(written, feeds)[0], expected)


def test_sizes_may_change_from_run_to_run() -> None:
    case = CASES["3x3"]
    session = None
    for size in ((9, 11), (5, 5), (30, 7), (9, 11)):
        case = replace(case, size=size, seed=size[0])
        tensors = random_integers(case)
        if session is None:
            first = tensors
            session = create_session(integer_model(case, tensors, dynamic=True).SerializeToString())
        tensors = IntegerTensors(first.weight, first.inputs, tensors.images)
        y = session.run(None, integer_feeds(tensors))[0]
        np.testing.assert_array_equal(
            from_words(y, case.out_channels), expected_integers(case, tensors)
        )


def test_empty_batch() -> None:
    case = replace(CASES["residual and Relu"], batch=0)
    tensors = random_integers(case)
    written = integer_model(case, tensors, dynamic=True).SerializeToString()
    (y,) = create_session(written).run(None, integer_feeds(tensors))
    assert y.shape == (0, 4, 9, 11, 4)


def with_bodies(proto: onnx.ModelProto, opset: int = 13) -> onnx.ModelProto:
    proto.functions.extend(used_functions(map(as_node, proto.graph.node), opset))
    return proto


def referenced(proto: onnx.ModelProto, feeds: dict[str, Array]) -> Array:
    with np.errstate(over="ignore"):
        return np.asarray(next(iter(ReferenceEvaluator(proto).run(None, feeds))))


def altered(change: dict[str, Any], case: IntegerCase = CASES["residual and Relu"]) -> bytes:
    """One valid node with some inputs or attributes exchanged (None: no constant)."""
    tensors = random_integers(case)
    proto = integer_model(case, tensors)
    (node,) = proto.graph.node
    for name, value in change.items():
        if isinstance(value, int):
            kept = [attribute for attribute in node.attribute if attribute.name != name]
            del node.attribute[:]
            node.attribute.extend([*kept, helper.make_attribute(name, value)])
            continue
        tensor = next(t for t in proto.graph.initializer if t.name == name)
        if value is None:
            kind, shape = tensor.data_type, list(tensor.dims)
            proto.graph.initializer.remove(tensor)
            proto.graph.input.append(helper.make_tensor_value_info(name, kind, shape))
        else:
            array = value(onnx.numpy_helper.to_array(tensor).copy())
            tensor.CopyFrom(onnx.numpy_helper.from_array(array, name))
    return bytes(proto.SerializeToString())


def test_unaltered_node_is_accepted() -> None:
    create_session(altered({}))


def scale_of(value: float) -> Any:
    return lambda a: np.full_like(a, value)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    **{
        f"{name} {value}": ({name: scale_of(value)}, f"input '{name}'")
        for name in ("x_scale", "y_scale", "residual_scale")
        for value in (0.0, -1.0, np.nan, np.inf)
    },
    **{f"w_scale {x}": ({"w_scale": scale_of(x)}, "input 'w_scale'") for x in (-1, np.nan, np.inf)},
    "too few scales": ({"w_scale": lambda a: a[:-1]}, "15 scales, expected 1 or 16"),
    "scales in rows": ({"w_scale": lambda a: a[None]}, "'w_scale' has the shape"),
    "scale in a vector": ({"x_scale": lambda a: a[None]}, "'x_scale' has the shape"),
    "zero point in a vector": ({"y_zero_point": lambda a: a[None]}, "'y_zero_point' has the shape"),
    "short bias": ({"bias": lambda a: a[1:]}, "15 biases for 16 output channels"),
    "huge bias": ({"bias": lambda a: np.full_like(a, 2**31 - 1)}, "too large for 32 bits"),
    "flat values": ({"values": lambda a: a[:, :, 0]}, "'values' has the shape"),
    "values without words": ({"values": lambda a: a[:, :, :1]}, "'values' has the shape"),
    "fewer values": ({"values": lambda a: a[1:]}, "values"),
    "positions that fall": ({"positions": lambda a: a[::-1].copy()}, "positions"),
    "positions outside": ({"positions": lambda a: a + 1000}, "positions"),
    "rows of no words": ({"simd_group": 6}, "'values' has the shape"),
    "a gate": ({"gate": 1}, "gate"),
    "conv groups that divide nothing": ({"group": 3}, "group"),
    "conv groups of no words": ({"group": 4}, "words of 4"),
    "no weights": ({"values": None}, "has to be a constant initializer"),
    "no zero point": ({"x_zero_point": None}, "has to be a constant initializer"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_refused(name: str) -> None:
    change, message = WRONG[name]
    told = refusal(altered(change))
    assert "QLinearSparseConvAdd node 'integer_conv': " in told
    assert message in told


def test_zero_points_out_of_range_have_another_type() -> None:
    told = refusal(altered({"x_zero_point": lambda a: np.array(-1, np.int32)}))
    assert "x_zero_point" in told
    assert "int32" in told


@pytest.mark.parametrize(
    ("shape", "message"),
    [((1, 8, 9, 11), "where [N, 2, H, W, 4]"), ((1, 3, 9, 11, 4), "where [N, 2, H, W, 4]")],
)
def test_inputs_of_another_shape_are_refused(shape: tuple[int, ...], message: str) -> None:
    case = CASES["3x3"]
    proto = integer_model(case, random_integers(case))
    proto.graph.input[0].CopyFrom(
        helper.make_tensor_value_info("X", TensorProto.UINT8, [None] * len(shape))
    )
    session = create_session(proto.SerializeToString())
    with pytest.raises(ORT_ERRORS) as caught:
        session.run(None, {"X": np.zeros(shape, np.uint8)})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("op", "channels", "shape", "message"),
    [
        ("PackNC4HW4", 6, (1, 7, 3), "where [N, 6, ...]"),
        ("UnpackNC4HW4", 6, (1, 3, 5, 4), "where [N, 2, ..., 4]"),
        ("UnpackNC4HW4", 6, (1, 2, 5, 3), "where [N, 2, ..., 4]"),
        ("PackNC4HW4", 0, (1, 7, 3), "'channels' is 0"),
    ],
)
def test_moves_of_another_shape_are_refused(
    op: str, channels: int, shape: tuple[int, ...], message: str
) -> None:
    node = helper.make_node(op, ["x"], ["y"], name="move", domain="ai.alcs", channels=channels)
    graph = helper.make_graph(
        [node],
        "move",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, [None] * len(shape))],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, None)],
    )
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("ai.alcs", 1)]
    written = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    with pytest.raises(ORT_ERRORS) as caught:
        create_session(written).run(None, {"x": np.zeros(shape, np.uint8)})
    assert f"{op} node 'move': " in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize("channels", [1, 3, 4, 6, 8])
@pytest.mark.parametrize("spatial", [(), (5,), (4, 7)])
def test_moves_alone(channels: int, spatial: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).integers(0, 256, (2, channels, *spatial), np.uint8)
    for op, given in (("PackNC4HW4", x), ("UnpackNC4HW4", to_words(x))):
        node = helper.make_node(op, ["x"], ["y"], name="move", domain="ai.alcs", channels=channels)
        out: list[str] = [f"y{i}" for i in range(given.ndim + (1 if op == "PackNC4HW4" else -1))]
        graph = helper.make_graph(
            [node],
            "move",
            [helper.make_tensor_value_info("x", TensorProto.UINT8, given.shape)],
            [helper.make_tensor_value_info("y", TensorProto.UINT8, out)],
        )
        opsets = [helper.make_opsetid("", 13), helper.make_opsetid("ai.alcs", 1)]
        proto = with_bodies(helper.make_model(graph, opset_imports=opsets, ir_version=8))
        onnx.checker.check_model(proto, full_check=True)
        written, feeds = proto.SerializeToString(), {"x": given}
        for y in (
            create_session(written).run(None, feeds)[0],
            run(written, feeds)[0],
            referenced(proto, feeds),
        ):
            got = from_words(y, channels) if op == "PackNC4HW4" else y
            np.testing.assert_array_equal(got, x)


@pytest.mark.parametrize("planes", [False, True])
def test_shapes_are_told_to_the_runtime(planes: bool) -> None:
    case = replace(CASES["no whole words"], batch=2)
    proto = integer_model(case, random_integers(case), planes=planes)
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    (y,) = create_session(proto.SerializeToString()).get_outputs()
    assert y.shape == ([2, 6, 9, 11] if planes else [2, 2, 9, 11, 4])
