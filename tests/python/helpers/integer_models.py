"""Tiny models of ai.alcs::QLinearSparseConv, and what they should compute.

As in `op_models`, written from the op's contract alone: nothing is shared with the package.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from math import prod

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from op_models import Case, convolve

Array = np.ndarray


@dataclass(frozen=True)
class IntegerCase(Case):
    """One convolution of integers."""

    x_zero: int = 128
    y_zero: int = 128
    residual_zero: int = 100
    ends: bool = False  # inputs and weights are the ends of their ranges

    @property
    def depthwise(self) -> bool:
        return 1 < self.group == self.in_channels == self.out_channels


@dataclass
class IntegerTensors:
    """The random tensors of a case: the inputs of the node by name, and the weight dense.

    `images` are the activations [N, C, *spatial]; in `inputs` they are words.
    """

    weight: Array
    inputs: dict[str, Array]
    images: dict[str, Array] = field(default_factory=dict)


def to_words(x: Array) -> Array:
    """[N, C, *spatial] -> [N, ceil(C/4), *spatial, 4]; what is no channel is 77."""
    n, c, *spatial = x.shape
    padded = np.full((n, -(-c // 4) * 4, *spatial), 77, np.uint8)
    padded[:, :c] = x
    return np.ascontiguousarray(np.moveaxis(padded.reshape(n, -(-c // 4), 4, *spatial), 2, -1))


def from_words(x: Array, channels: int) -> Array:
    n, w, *spatial, four = x.shape
    assert four == 4
    return np.moveaxis(x, -1, 2).reshape(n, w * 4, *spatial)[:, :channels]


def random_integers(case: IntegerCase) -> IntegerTensors:
    rng = np.random.default_rng(case.seed)
    taps, per_group = prod(case.kernel), case.in_channels // case.group
    weight = np.zeros((case.out_channels, per_group, taps), np.int8)

    def drawn(low: int, high: int, shape: tuple[int, ...], dtype: type) -> Array:
        if case.ends:
            return rng.choice(np.array([low, high - 1], dtype), shape)
        return rng.integers(low, high, shape, dtype)

    groups = -(-case.out_channels // 4) if case.depthwise else case.group
    rows = 4 if case.depthwise else -(-case.out_channels // case.group // 4) * 4
    width = 1 if case.depthwise else 4
    words = 1 if case.depthwise else -(-per_group // 4)
    blocks = groups * -(-rows // case.simd_group)
    positions = np.flatnonzero(rng.random(blocks * words * taps) < case.density).astype(np.int32)
    values = np.zeros((len(positions), case.simd_group, width), np.int8)
    for i, position in enumerate(positions):
        block, column = divmod(int(position), words * taps)
        word, tap = divmod(column, taps)
        blocks_each = blocks // groups
        for row, channel in itertools.product(range(case.simd_group), range(width)):
            inside = block % blocks_each * case.simd_group + row
            out = block // blocks_each * rows + inside
            seen = word * 4 + channel
            if inside < rows and out < case.out_channels and seen < per_group:
                value = drawn(-128, 128, (), np.int8)
                values[i, row, channel] = weight[out, seen, tap] = value
    weight = weight.reshape(case.out_channels, per_group, *case.kernel)

    m = case.out_channels
    images = {"X": drawn(0, 256, (case.batch, case.in_channels, *case.size), np.uint8)}
    inputs: dict[str, Array] = {
        "values": values,
        "positions": positions,
        # Some powers of two, so that sums lie between two steps.
        "w_scale": np.where(rng.random(m) < 0.5, 2.0**-9, rng.uniform(0.001, 0.02, m)),
        "bias": rng.integers(-20000, 20000, m, np.int32),
        "x_scale": np.array(0.5),
        "x_zero_point": np.array(case.x_zero, np.uint8),
        "y_scale": np.array(0.25),
        "y_zero_point": np.array(case.y_zero, np.uint8),
    }
    if case.residual:
        images["residual"] = drawn(0, 256, (case.batch, m, *case.output_size), np.uint8)
        inputs["residual_scale"] = np.array(0.3)
        inputs["residual_zero_point"] = np.array(case.residual_zero, np.uint8)
    for name, array in inputs.items():
        if array.dtype == np.float64:
            inputs[name] = array.astype(np.float32)
    return IntegerTensors(weight, inputs, images)


def expected_integers(case: IntegerCase, tensors: IntegerTensors) -> Array:
    """[N, M, *spatial] by the rule: exact sums, then float32 steps that are rounded one by one."""
    x = tensors.images["X"].astype(np.int64) - case.x_zero
    # In double precision, which holds these sums exactly.
    sums = convolve(x, tensors.weight, case).astype(np.int64)
    given, column = tensors.inputs, (-1, *[1] * len(case.kernel))
    sums += given["bias"].astype(np.int64).reshape(column)
    y_scale = given["y_scale"]
    scale = (given["x_scale"] * given["w_scale"] / y_scale).reshape(column)
    v = sums.astype(np.float32) * scale
    if case.residual:
        steps = tensors.images["residual"].astype(np.int32) - case.residual_zero
        v = v + steps.astype(np.float32) * (given["residual_scale"] / y_scale)
    assert v.dtype == np.float32
    v = np.maximum(v, np.float32(case.slope) * v)
    with np.errstate(over="ignore"):
        v = np.clip(v, np.float32(case.low) / y_scale, np.float32(case.high) / y_scale)
    return np.asarray(np.clip(np.rint(v) + case.y_zero, 0, 255), np.uint8)


def integer_node(case: IntegerCase, tensors: IntegerTensors, x: str, y: str) -> onnx.NodeProto:
    """The node, which reads words."""
    names = ["values", "positions", "w_scale", "bias"]
    names += ["x_scale", "x_zero_point", "y_scale", "y_zero_point"]
    if case.residual:
        names += ["residual", "residual_scale", "residual_zero_point"]
    return helper.make_node(
        "QLinearSparseConvAdd" if case.residual else "QLinearSparseConv",
        [x, *names],
        [y],
        name="integer_conv",
        domain="ai.alcs",
        **case.attributes,
    )


def integer_model(
    case: IntegerCase,
    tensors: IntegerTensors,
    *,
    dynamic: bool = False,
    planes: bool = False,
    opset: int = 13,
) -> onnx.ModelProto:
    """A model of one op, from X (and residual) to y, in words or (with `planes`) packed around."""
    feeds = integer_feeds(tensors, planes)
    nodes = [integer_node(case, tensors, "X", "y")]
    if planes:
        nodes[0].input[0], nodes[0].output[0] = "X_words", "y_words"
        moves = [("PackNC4HW4", "X", "X_words", case.in_channels)]
        if case.residual:
            nodes[0].input[9] = "residual_words"
            moves.append(("PackNC4HW4", "residual", "residual_words", case.out_channels))
        moves.append(("UnpackNC4HW4", "y_words", "y", case.out_channels))
        made = [
            helper.make_node(op, [x], [y], name=f"{op}_{x}", domain="ai.alcs", channels=c)
            for op, x, y, c in moves
        ]
        nodes = [*made[:-1], *nodes, made[-1]]
    infos = []
    for name, array in feeds.items():
        shape: list[int | str] = list(array.shape)
        if dynamic:
            shape[0] = "n"
            shape[2 : 2 + len(case.kernel)] = [f"{name}{i}" for i in range(len(case.kernel))]
        infos.append(helper.make_tensor_value_info(name, TensorProto.UINT8, shape))
    graph = helper.make_graph(
        nodes,
        "one_op",
        infos,
        [helper.make_tensor_value_info("y", TensorProto.UINT8, _named(case, planes))],
        [numpy_helper.from_array(a, n) for n, a in tensors.inputs.items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("ai.alcs", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def integer_feeds(tensors: IntegerTensors, planes: bool = False) -> dict[str, Array]:
    """The activations as the model takes them."""
    return {n: x if planes else to_words(x) for n, x in tensors.images.items()}


def _named(case: IntegerCase, planes: bool) -> list[str]:
    return [f"y{axis}" for axis in range(len(case.kernel) + (2 if planes else 3))]
