"""What has no rule: every other change of an operator from opset 8 to 13, and why it needs none.

The onnx package's own history of operator schemas says what there is; ONNX Runtime is the judge of
what it means.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from opset_cases import Case, assert_upgrade_keeps, feeds_of, model_of

from alcs_onnx.graph.upgrade import NEWEST, OLDEST
from alcs_onnx.graph.upgrade.registry import RULES

#: why a change needs no rule -> the operators, each with the opset that brought the change.
UNCHANGED: dict[str, str] = {
    "more element types": """
        Cast:9 Clip:12 Constant:9 Equal:11 Flatten:9 Gemm:9 Greater:9 Less:9 MatMul:9 Max:12 Min:12
        MaxPool:12 Pow:12 PRelu:9 ReduceMax:12 ReduceMin:12
        Abs:13 Add:13 ArgMax:13 ArgMin:13 Cast:13 Ceil:13 Clip:13 Concat:13 Constant:13
        DepthToSpace:13 Div:13 Dropout:13 Equal:13 Erf:13 Exp:13 Expand:13 Flatten:13 Floor:13
        Gather:13 GatherElements:13 GatherND:13 Gemm:13 Greater:13 Identity:13 IsNaN:13 LRN:13
        Less:13 Log:13 MatMul:13 Max:13 Mean:13 MeanVarianceNormalization:13 Min:13 Mod:13 Mul:13
        Neg:13 NonZero:13 Pad:13 Pow:13 Reciprocal:13 ReduceL1:13 ReduceL2:13 ReduceLogSum:13
        ReduceLogSumExp:13 ReduceMax:13 ReduceMean:13 ReduceMin:13 ReduceProd:13
        ReduceSumSquare:13 Relu:13 Reshape:13 ScatterElements:13 ScatterND:13 Shape:13 Sigmoid:13
        Sign:13 Size:13 Slice:13 SpaceToDepth:13 Sqrt:13 Sub:13 Sum:13 Tanh:13 Tile:13
        Transpose:13
    """,
    "negative axes count from the end": """
        ArgMax:11 ArgMin:11 Compress:11 Concat:11 Flatten:11 Gather:11 Hardmax:11 LogSoftmax:11
        OneHot:11 ReduceL1:11 ReduceL2:11 ReduceLogSum:11 ReduceLogSumExp:11 ReduceMax:11
        ReduceMean:11 ReduceMin:11 ReduceProd:11 ReduceSum:11 ReduceSumSquare:11 Scan:11 Slice:11
        Softmax:11 Split:11 Squeeze:11 Unsqueeze:11
    """,
    "a new attribute or output whose absence is the old meaning": """
        ArgMax:12 ArgMin:12 AveragePool:10 Constant:11 Constant:12 DepthToSpace:11
        DequantizeLinear:13 GatherND:12 MaxPool:8 MaxPool:10 QuantizeLinear:13 TopK:11
    """,
    "an input may be absent": "Gemm:11 Resize:13",
    "inputs broadcast that had to have one shape": "Max:8 Mean:8 Min:8 Sum:8",
    "clearer words on padding and defaults": """
        AveragePool:11 Conv:11 ConvTranspose:11 LpPool:11 MaxPool:11 MaxUnpool:11
        NonMaxSuppression:11
    """,
    "results of a body may change their shape": "If:11 Loop:11",
    "results of a body may be sequences": "If:13 Loop:13",
    "for training alone, with another body of the same meaning": """
        NegativeLogLikelihoodLoss:13 SoftmaxCrossEntropyLoss:13
    """,
}


def _changes() -> Iterator[tuple[str, int]]:
    """Every operator of the default domain with the opsets up to `NEWEST` that changed it.

    The first opset of an operator changes nothing.
    """
    history: dict[str, list[int]] = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.domain == "":
            history.setdefault(schema.name, []).append(schema.since_version)
    for name, versions in history.items():
        yield from ((name, v) for v in sorted(versions)[1:] if OLDEST < v <= NEWEST)


def _unchanged() -> set[tuple[str, int]]:
    entries = [entry.split(":") for text in UNCHANGED.values() for entry in text.split()]
    assert len(entries) == len({tuple(entry) for entry in entries})
    return {(name, int(version)) for name, version in entries}


def test_every_change_has_a_rule_or_a_reason() -> None:
    ruled = {(name, rule.below) for name, rows in RULES.items() for rule in rows}
    assert not ruled & _unchanged()
    assert ruled | _unchanged() == set(_changes())


def _normal(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    values = np.random.default_rng(sum(shape)).standard_normal(shape) * 3
    return values.astype(dtype)


X = _normal(2, 4, 6, 5)
MATRIX = _normal(3, 8)


def _many(op_type: str, feeds: Any, *settings: dict[str, Any], since: int = 1,
          until: int = 12, **more: Any):  # fmt: skip
    for attributes in settings or ({},):
        given = feeds if isinstance(feeds, dict) else {"x": feeds}
        yield Case(op_type, since, until, given, attributes=attributes, **more)


def _pooling() -> Iterator[Case]:
    window: dict[str, Any] = {"kernel_shape": [3, 2], "strides": [2, 2]}
    paddings: list[dict[str, Any]] = [
        {}, {"pads": [1, 0, 1, 1]}, {"auto_pad": "SAME_UPPER"}, {"auto_pad": "SAME_LOWER"},
        {"auto_pad": "VALID"},
    ]  # fmt: skip
    for padding in paddings:
        yield from _many("MaxPool", X, window | padding)
        yield from _many("MaxPool", X, window | padding, {**window, **padding, "storage_order": 1},
                         since=8, outputs=2)  # fmt: skip
        yield from _many("AveragePool", X, window | padding,
                         {**window, **padding, "count_include_pad": 1})  # fmt: skip
        yield from _many("LpPool", X, window | padding, {**window, **padding, "p": 1})
        yield from _many("Conv", X, padding | {"strides": [2, 1]}, since=1,
                         constants={"w": _normal(3, 4, 3, 2)}, relative=1e-5)  # fmt: skip
        yield from _many("ConvTranspose", X, padding | {"strides": [2, 2]},
                         constants={"w": _normal(4, 3, 3, 2)}, relative=1e-5)  # fmt: skip
        if "kernel_shape" in window and padding.get("auto_pad") is None:
            ceiled = {**window, **padding, "ceil_mode": 1}
            yield from _many("MaxPool", X, ceiled, ceiled | {"dilations": [1, 2]}, since=10)
            yield from _many("AveragePool", X, ceiled, ceiled | {"count_include_pad": 1}, since=10)
    yield from _many(
        "ConvTranspose", X, {"strides": [2, 2], "output_shape": [13, 11]},
        {"strides": [2, 2], "output_shape": [12, 10], "auto_pad": "SAME_UPPER"},
        {"strides": [2, 2], "output_shape": [12, 10], "auto_pad": "SAME_LOWER"},
        {"strides": [2, 2], "output_padding": [1, 0]},
        constants={"w": _normal(4, 3, 3, 2)}, relative=1e-5,
    )  # fmt: skip
    indices = np.array([[[[1, 3], [8, 11]]]])
    yield from _many("MaxUnpool", {"x": _normal(1, 1, 2, 2), "i": indices},
                     {"kernel_shape": [2, 2], "strides": [2, 2]}, since=9)  # fmt: skip


def _reductions() -> Iterator[Case]:
    settings: list[dict[str, Any]] = [{}, {"axes": [1]}, {"axes": [2, 3], "keepdims": 0}]
    for name in ("L1", "L2", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare"):
        yield from _many(f"Reduce{name}", X, *settings)
    yield from _many("ReduceLogSum", np.abs(X), *settings)
    ties = np.repeat(MATRIX, 2, axis=1)
    for name in ("ArgMax", "ArgMin"):
        yield from _many(name, ties, {}, {"axis": 1}, {"axis": 1, "keepdims": 0})
    for name in ("Softmax", "LogSoftmax", "Hardmax"):
        yield from _many(name, X, {}, {"axis": 0}, {"axis": 1}, {"axis": 2}, {"axis": 3})


def _movement() -> Iterator[Case]:
    indices = np.array([[0, 2], [1, 0]])
    yield from _many("Concat", {"x": X, "z": X}, {"axis": 1}, {"axis": 0})
    yield from _many("Compress", {"x": X, "c": np.array([True, False, True])}, {}, {"axis": 1},
                     since=9)  # fmt: skip
    yield from _many("Flatten", X, {}, {"axis": 0}, {"axis": 2}, {"axis": 4})
    yield from _many("Gather", {"x": X, "i": indices}, {"axis": 1}, {"axis": 2})
    yield from _many("GatherND", {"x": X, "i": np.array([[0, 1], [1, -1]])}, since=11)
    yield from _many("Split", X, {"axis": 1}, {"axis": 2, "split": [2, 4]}, outputs=2)
    yield from _many("Squeeze", _normal(2, 1, 3, 1), {"axes": [1]}, {"axes": [1, 3]}, {})
    yield from _many("Unsqueeze", MATRIX, {"axes": [0]}, {"axes": [1, 3]})
    yield from _many("DepthToSpace", X, {"blocksize": 2})
    yield from _many("DepthToSpace", X, {"blocksize": 2, "mode": "CRD"}, since=11)
    bounds = {"s": np.array([5, 0]), "e": np.array([-9, -1]), "a": np.array([2, 3])}
    yield from _many("Slice", X, since=10, constants={**bounds, "t": np.array([-2, 1])})
    yield from _many("Slice", X, since=10, constants={"s": np.zeros(4, int), "e": np.ones(4, int)})
    one_hot = {"d": np.array([4]), "v": np.array([-1, 3], np.float32)}
    yield from _many("OneHot", np.array([[0, 3, -1], [-4, 4, 9]]), {}, {"axis": 0}, {"axis": -1},
                     since=9, constants=one_hot)  # fmt: skip
    for a in ({}, {"axis": 0}):
        yield from _many("TopK", MATRIX, a, since=10, constants={"k": np.array([2])}, outputs=2)
    boxes = np.random.default_rng(1).random((2, 6, 4)).astype(np.float32)
    scores = np.random.default_rng(2).random((2, 3, 6)).astype(np.float32)
    limits = {"m": np.array([2]), "iou": np.array([0.3], np.float32),
              "score": np.array([0.2], np.float32)}  # fmt: skip
    yield from _many("NonMaxSuppression", {"b": boxes, "s": scores}, {}, {"center_point_box": 1},
                     since=10, constants=limits)  # fmt: skip


def _arithmetic() -> Iterator[Case]:
    pair = {"x": MATRIX, "z": _normal(3, 8)[::-1].copy()}
    for name in ("Max", "Min", "Mean", "Sum"):
        yield from _many(name, pair)
        yield from _many(name, {"x": MATRIX})
        yield from _many(name, {"x": MATRIX, "z": _normal(8)}, since=8)
    for name in ("Greater", "Less"):
        yield from _many(name, {"x": MATRIX, "z": _normal(8)})
    yield from _many("Equal", {"x": np.arange(6).reshape(2, 3), "z": np.arange(3)})
    yield from _many("Pow", {"x": np.abs(MATRIX), "z": _normal(8)}, relative=1e-6)
    yield from _many("PRelu", X, constants={"slope": _normal(4, 1, 1)})
    yield from _many("MatMul", {"x": MATRIX, "z": _normal(8, 2)}, relative=1e-5)
    yield from _many("Gemm", {"x": MATRIX}, {}, {"alpha": 0.5, "beta": 2.0},
                     constants={"w": _normal(8, 2), "b": _normal(2)}, relative=1e-5)  # fmt: skip
    for kind in (TensorProto.INT32, TensorProto.DOUBLE, TensorProto.BOOL, TensorProto.UINT8):
        yield from _many("Cast", np.abs(MATRIX), {"to": kind})
    value = helper.make_tensor("v", TensorProto.FLOAT, [2], [1.5, -2.0])
    yield Case("Constant", 7, 12, {}, attributes={"value": value})
    clip = {"low": np.array(-1, np.float32), "high": np.array(2, np.float32)}
    yield Case("Clip", 11, 12, {"x": X}, constants=clip)


def _elementwise() -> Iterator[Case]:
    for name in ("Abs", "Ceil", "Exp", "Floor", "Neg", "Relu", "Sigmoid", "Tanh", "Identity"):
        yield from _many(name, MATRIX, relative=1e-6)
    for name in ("Erf", "Sign", "IsNaN"):
        yield from _many(name, MATRIX, since=9, relative=1e-6)
    for name in ("Log", "Sqrt", "Reciprocal"):
        yield from _many(name, np.abs(MATRIX) + 0.1, relative=1e-6)
    for name in ("Add", "Sub", "Mul", "Div"):
        yield from _many(name, {"x": MATRIX, "z": _normal(8)}, since=7)
    whole = {"x": np.arange(-6, 6).reshape(3, 4), "z": np.array([1, -2, 3, 5])}
    yield from _many("Mod", whole, since=10)
    yield from _many("Mod", {"x": MATRIX, "z": _normal(8)}, {"fmod": 1}, since=10)
    for name in ("Shape", "Size"):
        yield from _many(name, X)
    yield from _many("NonZero", np.array([[0, 2], [3, 0]]), since=9)
    yield from _many("LRN", X, {"size": 3}, {"size": 3, "alpha": 0.5}, relative=1e-6)
    yield from _many("MeanVarianceNormalization", X, {"axes": [0, 2, 3]}, {"axes": [2, 3]}, since=9,
                     relative=1e-5)  # fmt: skip


def _layout() -> Iterator[Case]:
    yield from _many("Transpose", X, {}, {"perm": [0, 2, 3, 1]})
    yield from _many("SpaceToDepth", X[..., :4], {"blocksize": 2})
    yield from _many("Reshape", X, since=5, constants={"s": np.array([2, 0, -1])})
    yield from _many("Expand", MATRIX, since=8, constants={"s": np.array([2, 3, 8])})
    yield from _many("Tile", MATRIX, since=6, constants={"r": np.array([2, 1])})
    yield from _many("Pad", X, {}, {"mode": "edge"}, since=11,
                     constants={"p": np.array([0, 0, 1, 0, 0, 0, 0, 2])})  # fmt: skip
    indices = {"i": np.array([[0, 2], [1, 0], [1, 1]])}
    yield from _many("GatherElements", MATRIX, {"axis": 1}, since=11, constants=indices)
    feeds = {"x": MATRIX, "i": np.array([[1, 0], [0, 2]]), "u": _normal(2, 2)}
    yield from _many("ScatterElements", feeds, {"axis": 1}, since=11)
    places = {"x": MATRIX, "i": np.array([[1], [0]]), "u": _normal(2, 8)}
    yield from _many("ScatterND", places, since=11)
    sizes = {"r": np.zeros(0, np.float32), "s": np.zeros(0, np.float32),
             "t": np.array([2, 4, 9, 7])}  # fmt: skip
    scales = {"r": np.zeros(0, np.float32), "s": np.array([1, 1, 1.5, 2], np.float32)}
    modes: list[dict[str, Any]] = [{}, {"mode": "linear"}, {"mode": "cubic"}]
    modes.append(
        {"nearest_mode": "floor", "coordinate_transformation_mode": "tf_half_pixel_for_nn"}
    )
    modes += [{"mode": "linear", "coordinate_transformation_mode": m} for m in (
        "align_corners", "asymmetric", "pytorch_half_pixel")]  # fmt: skip
    for constants in (sizes, scales):
        yield from _many("Resize", X, *modes, since=11, constants=constants, relative=1e-6)
    cropped = {"r": np.array([0, 0, 0.1, 0.2, 1, 1, 0.8, 0.9], np.float32), "s": scales["s"]}
    yield from _many("Resize", X, {"coordinate_transformation_mode": "tf_crop_and_resize",
                     "mode": "linear"}, since=11, constants=cropped, relative=1e-6)  # fmt: skip


def _quantized() -> Iterator[Case]:
    for zero in (np.uint8(100), np.int8(-3)):
        step = {"s": np.array(0.05, np.float32), "z": np.array(zero)}
        yield from _many("QuantizeLinear", X, since=10, constants=step)
        whole = np.arange(-60, 60).reshape(2, 60).astype(zero.dtype)
        yield from _many("DequantizeLinear", whole, since=10, constants=step)


def _losses() -> Iterator[Case]:
    labels = np.array([1, 0, 5])
    for reduction in ("mean", "none", "sum"):
        for name in ("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss"):
            yield from _many(name, {"x": MATRIX, "l": labels}, {"reduction": reduction}, since=12,
                             relative=1e-6)  # fmt: skip


def _bodies() -> Iterator[Case]:
    def scalar(name: str, kind: int, *shape: int) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, kind, shape)

    relu = helper.make_node("Clip", ["s"], ["t"], min=-1.0)
    grow = helper.make_node("Add", ["t", "one"], ["n"])
    same = helper.make_node("Identity", ["c"], ["d"])
    one = helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0])
    step, flag = TensorProto.INT64, TensorProto.BOOL
    body = helper.make_graph(
        [relu, grow, same, helper.make_node("Neg", ["n"], ["o"])], "body",
        [scalar("i", step), scalar("c", flag), scalar("s", TensorProto.FLOAT, 2)],
        [scalar("d", flag), scalar("n", TensorProto.FLOAT, 2), scalar("o", TensorProto.FLOAT, 2)],
        [one],
    )  # fmt: skip
    constants = {"trips": np.array(3), "go": np.array(True)}
    yield Case("Loop", 1, 10, {"x": _normal(2)}, constants, {"body": body}, "trips go x", 2)
    scan = helper.make_graph(
        [relu, helper.make_node("Mul", ["t", "e"], ["n"])], "body",
        [scalar("s", TensorProto.FLOAT, 2), scalar("e", TensorProto.FLOAT, 2)],
        [scalar("n", TensorProto.FLOAT, 2)],
    )  # fmt: skip
    for a in ({}, {"scan_input_axes": [1]}, {"scan_input_directions": [1]}):
        yield Case("Scan", 9, 10, {"s": _normal(2), "x": _normal(2, 2)},
                   attributes={"body": scan, "num_scan_inputs": 1, **a})  # fmt: skip


MAKERS = (_pooling, _reductions, _movement, _arithmetic, _elementwise, _layout, _quantized,
          _losses, _bodies)  # fmt: skip
CASES = [case for maker in MAKERS for case in maker()]


@pytest.mark.parametrize("place", ["graph", "branch"])
@pytest.mark.parametrize("op_type", sorted({case.op_type for case in CASES}))
def test_a_newer_opset_means_the_same(op_type: str, place: str) -> None:
    for case in CASES:
        if case.op_type == op_type:
            for opset in case.opsets:
                assert_upgrade_keeps(model_of(case, opset, place), feeds_of(case, place),
                                     case.relative)  # fmt: skip


def test_every_unchanged_operator_has_cases() -> None:
    """If has them in every test: it is where the other operators are put."""
    tried = {case.op_type for case in CASES} | {"If", "Dropout"}
    assert {name for name, _ in _unchanged()} <= tried
