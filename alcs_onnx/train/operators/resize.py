"""Resize with ONNX's coordinate rules.

Every mode is a matrix per axis: output position o takes a weighted few of the input
positions. Where torch has the same rule built in, that is used instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from alcs_onnx.train.operators.registry import Build, Step, register

Positions = npt.NDArray[np.floating[Any]]

_COORDINATES: dict[str, Callable[[Positions, Any, int, int], Positions]] = {
    "half_pixel": lambda o, scale, _n, _m: (o + 0.5) / scale - 0.5,
    "pytorch_half_pixel": lambda o, scale, _n, m: (o + 0.5) / scale - 0.5 if m > 1 else o * 0,
    "half_pixel_symmetric": lambda o, scale, n, m: (
        n / 2 * (1 - m / (n * scale)) + (o + 0.5) / scale - 0.5
    ),
    "align_corners": lambda o, _s, n, m: o * (n - 1) / (m - 1) if m > 1 else o * 0,
    "asymmetric": lambda o, scale, _n, _m: o / scale,
}

_NEAREST: dict[str, Callable[[Positions], Positions]] = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


def _matrix(build: Build, size: int, out: int, scale: float) -> Positions:
    """The [out, size] matrix of one axis."""
    coordinate = build.text("coordinate_transformation_mode", "half_pixel")
    mode = build.text("mode", "nearest")
    # Rounding needs the runtime's own float32: 7 / 0.7 is 10 in it, and a little more in float64.
    kind = np.float32 if mode == "nearest" else np.float64
    at = _COORDINATES[coordinate](np.arange(out, dtype=kind), kind(scale), size, out)
    matrix = np.zeros((out, size))
    rows = np.arange(out)

    def put(index: Positions, weight: Positions) -> None:
        np.add.at(matrix, (rows, index.clip(0, size - 1).astype(int)), weight)

    if mode == "nearest":
        rounded = _NEAREST[build.text("nearest_mode", "round_prefer_floor")](at)
        put(rounded, np.ones(out))
        return matrix
    low = np.floor(at)
    t = at - low
    if mode == "linear":
        # Outside the input the edge value holds.
        t = np.where((at < 0) | (at > size - 1), 0, t)
        low = at.clip(0, size - 1) // 1
        put(low, 1 - t)
        put(low + 1, t)
        return matrix
    a = float(build.attribute("cubic_coeff_a", -0.75))
    weights = (
        ((a * (t + 1) - 5 * a) * (t + 1) + 8 * a) * (t + 1) - 4 * a,
        ((a + 2) * t - (a + 3)) * t * t + 1,
        ((a + 2) * (1 - t) - (a + 3)) * (1 - t) ** 2 + 1,
        ((a * (2 - t) - 5 * a) * (2 - t) + 8 * a) * (2 - t) - 4 * a,
    )
    for offset, weight in enumerate(weights, start=-1):
        if build.attribute("exclude_outside", 0):
            weight = np.where((low + offset < 0) | (low + offset > size - 1), 0, weight)
        put(low + offset, weight)
    matrix /= matrix.sum(1, keepdims=True)
    return matrix


def _check(build: Build) -> None:
    mode = build.text("mode", "nearest")
    if mode not in ("nearest", "linear", "cubic"):
        raise build.unsupported(f"mode '{mode}'")
    coordinate = build.text("coordinate_transformation_mode", "half_pixel")
    if coordinate not in _COORDINATES:
        raise build.unsupported(f"coordinate_transformation_mode '{coordinate}'")
    if build.attribute("antialias", 0):
        raise build.unsupported("antialias")
    if build.text("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise build.unsupported("keep_aspect_ratio_policy")


#: Torch's own 2-D resizing, tried in this order.
_NEAREST_BUILTIN: tuple[Step, ...] = (partial(functional.interpolate, mode="nearest"),)
_BILINEAR: tuple[Step, ...] = (
    partial(functional.interpolate, mode="bilinear", align_corners=False),
    partial(functional.interpolate, mode="bilinear", align_corners=True),
)


@register("Resize", since=11)
def resize(build: Build) -> Step:
    """Nearest, linear or cubic resizing by scales or sizes."""
    _check(build)
    read_scales, read_sizes = _scales(build), build.numbers(3)
    if not build.input(2) and not build.input(3):
        raise build.unsupported("neither scales nor sizes")
    given = build.ints("axes")
    linear = build.text("mode", "nearest") == "linear"

    def plan(
        shape: tuple[int, ...], scales: tuple[float, ...], sizes: tuple[int, ...] | None
    ) -> list[tuple[int, int, float]]:
        """(axis, output size, scale) of each axis that changes."""
        axes = [axis % len(shape) for axis in given] or list(range(len(sizes or scales)))
        found = []
        for i, axis in enumerate(axes):
            if sizes:
                out, scale = sizes[i], sizes[i] / shape[axis]
            else:
                scale = scales[i]
                # In float32, as the runtime does: 5 * 1.8 is 9, not 8.
                out = int(np.float32(shape[axis]) * np.float32(scale))
            if out != shape[axis] or scale != 1:
                found.append((axis, out, scale))
        return found

    @cache
    def steps(
        shape: tuple[int, ...], scales: tuple[float, ...], sizes: tuple[int, ...] | None
    ) -> tuple[Step, ...]:
        changes = plan(shape, scales, sizes)
        matrices = [_matrix(build, shape[axis], out, scale) for axis, out, scale in changes]
        if len(shape) == 4 and {axis for axis, _, _ in changes} <= {2, 3}:
            sizes_of = {axis: out for axis, out, _ in changes}
            out = (sizes_of.get(2, shape[2]), sizes_of.get(3, shape[3]))
            for builtin in _BILINEAR if linear else _NEAREST_BUILTIN:
                if all(
                    np.allclose(_of_builtin(builtin, shape[axis], o), matrix, atol=1e-5)
                    for (axis, o, _), matrix in zip(changes, matrices, strict=True)
                ):
                    return (partial(builtin, size=out),)
        return tuple(
            _apply(axis, torch.from_numpy(matrix.astype(np.float32)))
            for (axis, _, _), matrix in zip(changes, matrices, strict=True)
        )

    def step(*values: Any) -> Tensor:
        x: Tensor = values[0]
        for function in steps(tuple(x.shape), read_scales(values), read_sizes(values)):
            x = function(x)
        return x

    return step


def _scales(build: Build) -> Callable[[Sequence[Any]], tuple[float, ...]]:
    """How to read the scales from the node's inputs in a pass; empty where sizes are given."""
    constant = build.constant(2)
    if build.input(2) and constant is None:
        return lambda values: tuple(values[2].tolist())
    known = () if constant is None else tuple(float(scale) for scale in constant)
    return lambda values: known


def _of_builtin(function: Step, size: int, out: int) -> Positions:
    """The matrix that a built-in applies along an axis, read off by resizing unit vectors."""
    result = function(torch.eye(size).reshape(1, size, size, 1), size=(out, 1))
    return np.asarray(result[0, :, :, 0].T.double().numpy())


def _apply(axis: int, matrix: Tensor) -> Step:
    def step(x: Tensor) -> Tensor:
        moved = x.movedim(axis, -1) @ matrix.to(x).t()
        return moved.movedim(-1, axis)

    return step
