"""Each upgrade rule: in ONNX Runtime the old node and what it becomes compute the same."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from opset_cases import PLACES, Case, assert_upgrade_keeps, feeds_of, model_of

from alcs_onnx.graph.upgrade import NEWEST, TARGET
from alcs_onnx.graph.upgrade.registry import RULES

FLOAT32_MAX = float(np.finfo(np.float32).max)
Rng = np.random.Generator


def _normal(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    values = np.random.default_rng(sum(shape)).standard_normal(shape) * 3
    return values.astype(dtype)


def _positive(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    return (np.random.default_rng(sum(shape)).random(shape) + 0.5).astype(dtype)


IMAGE = _normal(2, 3, 5, 7)
ODD_VALUES = np.array([[np.nan, -np.inf, np.inf, -0.5, 0.5, 8]], np.float32)


def _clip() -> list[Case]:
    bounds = [{}, {"min": 0.0}, {"max": 6.0}, {"min": -1.0, "max": 1.0}]
    bounds += [{"min": 0.0, "max": FLOAT32_MAX}, {"min": 0.25, "max": 0.25}]
    cases = [
        Case("Clip", 6, 10, {"x": x}, attributes=b) for b in bounds for x in (IMAGE, ODD_VALUES)
    ]
    return [*cases, Case("Clip", 6, 10, {"x": _normal(2, 9, dtype=np.float16)},
                         attributes={"min": 0.0, "max": FLOAT32_MAX})]  # fmt: skip


def _pad() -> list[Case]:
    pads = [0, 0, 1, 2, 0, 1, 0, 3]
    settings: list[dict[str, Any]] = [
        {"pads": pads},
        {"pads": pads, "mode": "constant", "value": -2.5},
        {"pads": [0, 0, 1, 2, 0, 0, 0, 3], "mode": "reflect"},
        {"pads": pads, "mode": "edge", "value": 4.0},
        {"pads": [0, 0, -1, 2, 0, -1, 0, -3], "value": 1.0},
        {"pads": [0] * 8},
    ]
    cases = [Case("Pad", 2, 10, {"x": IMAGE}, attributes=s) for s in settings]
    double = {"x": _normal(2, 3, dtype=np.float64)}
    return [*cases, Case("Pad", 2, 10, double, attributes={"pads": [1, 0, 0, 2], "value": 0.1})]


def _slice() -> list[Case]:
    settings: list[dict[str, Any]] = [
        {"starts": [1, 0], "ends": [4, -2], "axes": [2, 3]},
        {"starts": [-3], "ends": [2**31], "axes": [3]},
        {"starts": [0, 1, 1, 2], "ends": [2, 3, 4, 6]},
        {"starts": [1, 1], "ends": [2, 3]},
        {"starts": [2, 0], "ends": [5, 1], "axes": [3, 0]},
        {"starts": [3], "ends": [3], "axes": [2]},
    ]
    data = [IMAGE, np.arange(210).reshape(2, 3, 5, 7)]
    return [Case("Slice", 1, 9, {"x": x}, attributes=s) for s in settings for x in data]


def _top_k() -> list[Case]:
    ties = np.repeat(_normal(2, 4), 2, axis=1)
    settings: list[dict[str, Any]] = [{"k": 1}, {"k": 3}, {"k": 2, "axis": 0}, {"k": 2, "axis": 1}]
    return [
        Case("TopK", 1, 9, {"x": x}, attributes=s, outputs=2) for s in settings
        for x in (_normal(2, 8), ties, _normal(3, 4, 5))
    ]  # fmt: skip


def _dropout() -> list[Case]:
    ranges = [(7, 9), (10, 11)]
    return [
        Case("Dropout", *opsets, {"x": x}, attributes=a, outputs=outputs)
        for opsets in ranges for a in ({}, {"ratio": 0.3}) for outputs in (1, 2)
        for x in (IMAGE, _normal(2, 3, dtype=np.float64))
    ]  # fmt: skip


def _batch_normalization() -> list[Case]:
    cases = []
    for spatial, epsilon, dtype in itertools.product(
        (None, 1, 0), (None, 1e-2), (np.float32, np.float64)
    ):
        size = (3, 5, 7) if spatial == 0 else (3,)
        names = ("scale", "bias", "mean", "variance")
        constants = {name: _positive(*size, dtype=dtype) + i for i, name in enumerate(names)}
        given = {"spatial": spatial, "epsilon": epsilon, "momentum": 0.8}
        attributes = {name: value for name, value in given.items() if value is not None}
        x = {"x": IMAGE.astype(dtype)}
        cases.append(Case("BatchNormalization", 7, 8, x, constants, attributes, relative=1e-5))
    return cases


def _resampling() -> list[Case]:
    scales: list[tuple[float, ...]] = [
        (1, 1, 2, 2), (1, 1, 2.5, 1.3), (1, 1, 1, 1), (1, 2, 3, 1.5),
        (1, 1, 0.5, 0.5), (1, 1, 0.6, 0.3), (1, 1, 2, 0.5), (1, 1, 0.7, 1.7), (2, 1, 1.9, 0.51),
    ]  # fmt: skip
    others = [
        ((2, 3, 7), (1, 1, 1.7)), ((2, 3, 7), (1, 1, 0.4)), ((5, 7), (2, 2)), ((5, 7), (0.5, 1.4)),
        ((2, 3, 4, 5, 6), (1, 1, 2, 1.5, 2)), ((2, 3, 4, 5, 6), (1, 1, 0.5, 0.6, 1.2)),
    ]  # fmt: skip
    cases = []
    for shape, scale in [((2, 3, 5, 7), s) for s in scales] + others:
        x, s = {"x": _normal(*shape)}, np.array(scale, np.float32)
        for mode in ("nearest", "linear"):
            if mode == "linear" and len(shape) == 4 and scale[:2] != (1, 1):
                continue  # ONNX Runtime interpolates along two axes only
            a = {"mode": mode}
            if s.min() >= 1:
                cases.append(Case("Upsample", 7, 8, x, attributes={**a, "scales": s.tolist()}))
                cases.append(Case("Upsample", 9, 9, x, {"scales": s}, a))
                cases.append(Case("Upsample", 9, 9, {**x, "scales": s}, {}, a))
            cases.append(Case("Resize", 10, 10, x, {"scales": s}, a))
            cases.append(Case("Resize", 10, 10, {**x, "scales": s}, {}, a))
        cases.append(Case("Resize", 10, 10, x, {"scales": s}))
    return cases


def _scatter() -> list[Case]:
    indices = np.array([[1, 0, 2], [0, 2, 1]])
    feeds = {"x": _normal(3, 4), "indices": indices, "updates": _normal(2, 3)}
    return [Case("Scatter", 9, 10, feeds, attributes=a) for a in ({}, {"axis": 1})]


def _scan() -> list[Case]:
    """States and scanned tensors with a batch of 2 in front, six steps."""

    def info(name: str, *shape: int) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    nodes = [
        helper.make_node("Add", ["state", "a"], ["next_state"]),
        helper.make_node("Mul", ["other", "b"], ["scaled"]),
        helper.make_node("Clip", ["scaled"], ["next_other"], min=-2.0, max=2.0),
        helper.make_node("Sub", ["next_state", "b"], ["out"]),
    ]
    body = helper.make_graph(
        nodes, "body", [info("state", 3), info("other", 3), info("a", 3), info("b", 3)],
        [info("next_state", 3), info("next_other", 3), info("out", 3)],
    )  # fmt: skip
    feeds = {"s": _normal(2, 3), "o": _normal(3, 2).T.copy(), "u": _normal(2, 6, 3),
             "v": _positive(2, 6, 3)}  # fmt: skip
    return [
        Case("Scan", 8, 8, feeds, attributes={"body": body, "num_scan_inputs": 2, **d},
             inputs="- s o u v", outputs=3)
        for d in ({}, {"directions": [0, 1]}, {"directions": [1, 1]})
    ]  # fmt: skip


def _matrix() -> list[Case]:
    axes: list[dict[str, Any]] = [{}, *({"axis": axis} for axis in (0, 1, 2, 3, -1, -2, -4))]
    ties = np.repeat(_normal(2, 3, 4), 2, axis=2)
    return [
        Case(name, 1, 12, {"x": x}, attributes=a) for name in ("Softmax", "LogSoftmax", "Hardmax")
        for x in (IMAGE, ties, _normal(4, 6)) for a in axes
        if -x.ndim <= a.get("axis", 1) < x.ndim and not (name == "Hardmax" and x is ties)
    ]  # fmt: skip


def _axes() -> list[Case]:
    settings: list[dict[str, Any]] = [{}, {"axes": [1]}, {"axes": [2, 3], "keepdims": 0}]
    cases = [Case("ReduceSum", 1, 12, {"x": IMAGE}, attributes=a, relative=1e-6) for a in settings]
    ones = {"x": _normal(2, 1, 3, 1)}
    cases += [Case("Squeeze", 1, 12, ones, attributes=a)
              for a in ({}, {"axes": [1]}, {"axes": [1, 3]})]  # fmt: skip
    matrix = {"x": _normal(3, 8)}
    cases += [Case("Unsqueeze", 1, 12, matrix, attributes={"axes": a}) for a in ([0], [1, 3])]
    parts: list[dict[str, Any]] = [{"axis": 2, "split": [2, 3]}, {}, {"axis": 0, "split": [1, 1]}]
    return [*cases, *(Case("Split", 2, 12, {"x": IMAGE}, attributes=a, outputs=2) for a in parts)]


MAKERS = (_clip, _pad, _slice, _top_k, _dropout, _batch_normalization, _resampling, _scatter, _scan,
          _matrix, _axes)  # fmt: skip
CASES = [case for maker in MAKERS for case in maker()]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("op_type", sorted({case.op_type for case in CASES}))
def test_upgraded_node_computes_the_same(op_type: str, place: str) -> None:
    for case in CASES:
        if case.op_type == op_type:
            if place == "function" and case.is_not_float32:
                continue  # no types are known inside a function
            for opset, target in itertools.product(case.opsets, (TARGET, NEWEST)):
                if opset < target:
                    model = model_of(case, opset, place)
                    assert_upgrade_keeps(model, feeds_of(case, place), case.relative, target)


def test_every_rule_has_cases_of_the_opset_before_it() -> None:
    tried = {(case.op_type, opset) for case in CASES for opset in case.opsets}
    rules = {(op_type, rule.below - 1) for op_type, rows in RULES.items() for rule in rows}
    assert rules <= tried
