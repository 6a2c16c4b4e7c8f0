"""Tiny models of ai.alcs::SimdSparseConv, and what they should compute.

Written from the op's contract alone, on purpose: nothing here is shared with the package, so
that a slip in its packing cannot cancel out in a test.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

FLOAT_MAX = float(np.finfo(np.float32).max)
EPSILON = float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class Case:
    """One convolution: N is the batch, the rest are the op's attributes and the density."""

    in_channels: int = 8
    out_channels: int = 8
    size: tuple[int, ...] = (9, 11)
    kernel: tuple[int, ...] = (3, 3)
    strides: tuple[int, ...] = (1, 1)
    pads: tuple[int, ...] = (1, 1, 1, 1)
    dilations: tuple[int, ...] = (1, 1)
    group: int = 1
    simd_group: int = 4
    density: float = 0.5
    slope: float = 1.0
    low: float = -FLOAT_MAX
    high: float = FLOAT_MAX
    gate: int = 0  # 1 HardSwish, 2 Silu
    residual: bool = False
    batch: int = 1
    seed: int = 0

    @property
    def columns(self) -> int:
        return self.in_channels // self.group * prod(self.kernel)

    @property
    def rows(self) -> int:
        return self.out_channels // self.group

    @property
    def blocks(self) -> int:
        """Blocks of simd_group output channels, over all conv groups."""
        return self.group * -(-self.rows // self.simd_group)

    @property
    def output_size(self) -> tuple[int, ...]:
        n = len(self.kernel)
        return tuple(
            (self.size[i] + self.pads[i] + self.pads[n + i] - self.dilations[i] * (k - 1) - 1)
            // self.strides[i]
            + 1
            for i, k in enumerate(self.kernel)
        )

    @property
    def attributes(self) -> dict[str, Any]:
        return {
            "out_channels": self.out_channels,
            "in_channels": self.in_channels,
            "simd_group": self.simd_group,
            "group": self.group,
            "kernel_shape": list(self.kernel),
            "strides": list(self.strides),
            "pads": list(self.pads),
            "dilations": list(self.dilations),
            "slope": float(self.slope),
            "low": float(self.low),
            "high": float(self.high),
            **({"gate": self.gate} if self.gate else {}),
        }


@dataclass
class Tensors:
    """The random tensors of a case: packed weights, and the same weights dense."""

    values: np.ndarray
    positions: np.ndarray
    bias: np.ndarray
    weight: np.ndarray
    feeds: dict[str, np.ndarray] = field(default_factory=dict)


def random_tensors(case: Case) -> Tensors:
    """Packed weights with about `density` of the positions stored, a bias, and the inputs."""
    rng = np.random.default_rng(case.seed)
    g, k = case.simd_group, case.columns
    positions = np.flatnonzero(rng.random(case.blocks * k) < case.density).astype(np.int32)
    values = rng.standard_normal((len(positions), g)).astype(np.float32)

    blocks_per_group = case.blocks // case.group
    dense = np.zeros((case.group, blocks_per_group * g, k), np.float32)
    for position, lanes in zip(positions, values, strict=True):
        block, column = divmod(int(position), k)
        row = block % blocks_per_group * g
        dense[block // blocks_per_group, row : row + g, column] = lanes
    weight = dense[:, : case.rows].reshape(
        case.out_channels, case.in_channels // case.group, *case.kernel
    )
    # Lanes of a block's padding carry weights that must not matter; the format asks for zeros.
    for i, position in enumerate(positions):
        first = int(position) // k % blocks_per_group * g
        values[i, max(0, case.rows - first) :] = 0

    bias = rng.standard_normal(case.out_channels).astype(np.float32)
    feeds = {
        "x": rng.standard_normal((case.batch, case.in_channels, *case.size)).astype(np.float32)
    }
    if case.residual:
        shape = (case.batch, case.out_channels, *case.output_size)
        feeds["r"] = rng.standard_normal(shape).astype(np.float32)
    return Tensors(values, positions, bias, weight, feeds)


def convolve(x: np.ndarray, weight: np.ndarray, case: Case) -> np.ndarray:
    """The convolution alone, in double precision, tap by tap."""
    n = len(case.kernel)
    pads = [(0, 0), (0, 0), *((case.pads[i], case.pads[n + i]) for i in range(n))]
    padded = np.pad(x.astype(np.float64), pads)
    y = np.zeros((x.shape[0], case.group, case.rows, *case.output_size))
    per_group = case.in_channels // case.group
    for tap in itertools.product(*(range(k) for k in case.kernel)):
        window = [
            slice(t * d, t * d + (o - 1) * s + 1, s)
            for t, d, o, s in zip(tap, case.dilations, case.output_size, case.strides, strict=True)
        ]
        seen = padded[:, :, *window]
        for i in range(case.group):
            place: tuple[Any, ...] = (slice(i * case.rows, (i + 1) * case.rows), slice(None), *tap)
            rows = weight[place]
            channels = seen[:, i * per_group : (i + 1) * per_group]
            y[:, i] += np.einsum("mc,nc...->nm...", rows.astype(np.float64), channels)
    return y.reshape(x.shape[0], case.out_channels, *case.output_size)


def expected(case: Case, tensors: Tensors) -> tuple[np.ndarray, np.ndarray]:
    """The op's output, and the largest rounding error that float32 sums may have there."""
    x, w = tensors.feeds["x"], tensors.weight
    bias = tensors.bias.astype(np.float64).reshape(-1, *([1] * len(case.kernel)))
    residual = tensors.feeds.get("r", np.float64(0))
    v = convolve(x, w, case) + bias + residual
    size = convolve(np.abs(x), np.abs(w), case) + np.abs(bias) + np.abs(residual)
    bound = EPSILON * (case.columns + 4) * size * max(1.0, abs(case.slope))
    if case.gate:  # which is nowhere steeper than 1.5
        factor = np.clip(v / 6 + 0.5, 0, 1) if case.gate == 1 else 1 / (1 + np.exp(-v))
        return v * factor, 1.5 * bound + 4 * EPSILON * np.abs(v)
    return np.clip(np.maximum(v, case.slope * v), case.low, case.high), bound


def make_model(
    case: Case,
    tensors: Tensors,
    *,
    attributes: Mapping[str, Any] | None = None,
    initializers: Mapping[str, np.ndarray | None] | None = None,
    dynamic: tuple[int, ...] = (),
    node_name: str = "sparse_conv",
) -> bytes:
    """A model of one op. `attributes` replaces some (None: leaves it out); `initializers` too
    (None: a graph input instead). `dynamic` lists the axes of x that have no fixed size.
    """
    constants: dict[str, np.ndarray | None] = {
        "values": tensors.values,
        "positions": tensors.positions,
        "bias": tensors.bias,
        **(initializers or {}),
    }
    all_attributes = {**case.attributes, **(attributes or {})}
    node = helper.make_node(
        "SimdSparseConvAdd" if case.residual else "SimdSparseConv",
        ["x", "values", "positions", "bias", *(["r"] if case.residual else [])],
        ["y"],
        name=node_name,
        domain="ai.alcs",
        **{k: v for k, v in all_attributes.items() if v is not None},
    )
    x_shape: list[int | str] = list(tensors.feeds["x"].shape)
    for axis in dynamic:
        x_shape[axis] = f"d{axis}"
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, x_shape)]
    if case.residual:
        r_shape: list[int | str] = list(tensors.feeds["r"].shape)
        for axis in dynamic:
            r_shape[axis] = "d0" if axis == 0 else f"o{axis}"
        inputs.append(helper.make_tensor_value_info("r", TensorProto.FLOAT, r_shape))
    for name, array in constants.items():
        if array is None:
            kind = TensorProto.INT32 if name == "positions" else TensorProto.FLOAT
            inputs.append(helper.make_tensor_value_info(name, kind, None))
    graph = helper.make_graph(
        [node],
        "one_op",
        inputs,
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(a, n) for n, a in constants.items() if a is not None],
    )
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("ai.alcs", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    return bytes(model.SerializeToString())


def dense_twin(case: Case, tensors: Tensors) -> bytes:
    """The same computation in ONNX's own operators (no activation), to check the expectation."""
    nodes = [
        helper.make_node(
            "Conv",
            ["x", "w", "b"],
            ["v" if case.residual else "y"],
            group=case.group,
            kernel_shape=case.kernel,
            strides=case.strides,
            pads=case.pads,
            dilations=case.dilations,
        )
    ]
    inputs = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, a.shape)
        for n, a in tensors.feeds.items()
    ]
    if case.residual:
        nodes.append(helper.make_node("Add", ["v", "r"], ["y"]))
    graph = helper.make_graph(
        nodes,
        "dense",
        inputs,
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(tensors.weight, "w"), numpy_helper.from_array(tensors.bias, "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return bytes(model.SerializeToString())
