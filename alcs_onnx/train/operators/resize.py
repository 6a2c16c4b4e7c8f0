"""Resize with ONNX's coordinate rules.

Every mode is a matrix per axis: output position o takes a weighted few of the input
positions. Where torch has the same rule built in, that is used instead.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from alcs_onnx.train.operators.registry import Build, Step, register

Positions = npt.NDArray[np.float64]

_COORDINATES: dict[str, Callable[[Positions, float, int, int], Positions]] = {
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
    at = _COORDINATES[coordinate](np.arange(out, dtype=np.float64), scale, size, out)
    matrix = np.zeros((out, size))
    rows = np.arange(out)

    def put(index: Positions, weight: Positions) -> None:
        np.add.at(matrix, (rows, index.clip(0, size - 1).astype(int)), weight)

    mode = build.text("mode", "nearest")
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
    """Nearest, linear or cubic resizing by constant scales or sizes."""
    _check(build)
    scales, sizes = build.constant(2), build.constant_ints(3)
    if build.input(2) and scales is None:
        raise build.unsupported("computed scales")
    if (scales is None or scales.size == 0) and sizes is None:
        raise build.unsupported("neither scales nor sizes")
    given = build.ints("axes")
    linear = build.text("mode", "nearest") == "linear"

    def plan(shape: tuple[int, ...]) -> list[tuple[int, int, float]]:
        """(axis, output size, scale) of each axis that changes."""
        count = len(sizes) if sizes else (0 if scales is None else scales.size)
        axes = [axis % len(shape) for axis in given] or list(range(count))
        found = []
        for i, axis in enumerate(axes):
            if sizes:
                out, scale = sizes[i], sizes[i] / shape[axis]
            else:
                assert scales is not None
                scale = float(scales[i])
                # In float32, as the runtime does: 5 * 1.8 is 9, not 8.
                out = int(np.float32(shape[axis]) * np.float32(scales[i]))
            # The batch is whatever is fed, even where the sizes were written for one sample.
            if (out != shape[axis] or scale != 1) and not (sizes and axis == 0):
                found.append((axis, out, scale))
        return found

    @cache
    def steps(shape: tuple[int, ...]) -> tuple[Step, ...]:
        changes = plan(shape)
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

    def step(x: Tensor, *_: Tensor | None) -> Tensor:
        for function in steps((1, *x.shape[1:])):
            x = function(x)
        return x

    return step


def _of_builtin(function: Step, size: int, out: int) -> Positions:
    """The matrix that a built-in applies along an axis, read off by resizing unit vectors."""
    result = function(torch.eye(size).reshape(1, size, size, 1), size=(out, 1))
    return np.asarray(result[0, :, :, 0].T.double().numpy())


def _apply(axis: int, matrix: Tensor) -> Step:
    def step(x: Tensor) -> Tensor:
        moved = x.movedim(axis, -1) @ matrix.to(x).t()
        return moved.movedim(-1, axis)

    return step
