"""Second moments of a layer's inputs and outputs, added up over samples.

Of large images a random part of the positions is taken: neighbouring windows say much the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from alcs_onnx.errors import AlcsError
from alcs_onnx.posttraining.problem import DAMPING, LayerProblem
from alcs_onnx.types import ConvLayer, DoubleArray, FloatArray, IntArray

Array = npt.NDArray[Any]

#: Columns that moments are added up over, for each of a layer's own columns, and at least.
_PER_COLUMN, _LEAST = 32, 1 << 15


class Places:
    """Which positions of the outputs of a layer are looked at, chunk by chunk of its samples."""

    def __init__(self, layer: ConvLayer, samples: int, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._all = int(np.prod(layer.output_shape[2:]))
        wanted = max(_LEAST, _PER_COLUMN * layer.columns)
        #: How many of each sample.
        self.count = min(self._all, -(-wanted // samples))

    def some(self) -> IntArray:
        """Those of the next chunk, rising."""
        return np.sort(self._random.choice(self._all, self.count, replace=False))


def unfolded(inputs: FloatArray, layer: ConvLayer, places: Array) -> FloatArray:
    """The windows of [N, C, ...] around output positions `places`: [G, N * places, columns]."""
    spatial = len(layer.kernel_shape)
    if not spatial:
        return inputs[None]
    pads = layer.pads
    padded = inputs
    if any(pads):
        padded = np.pad(inputs, ((0, 0), (0, 0), *zip(pads[:spatial], pads[spatial:], strict=True)))
    reach = [(k - 1) * d + 1 for k, d in zip(layer.kernel_shape, layer.dilations, strict=True)]
    axes = tuple(range(2, 2 + spatial))
    windows: Array = np.lib.stride_tricks.sliding_window_view(padded, reach, axes)
    steps = (1, 1, *layer.strides, *layer.dilations)
    windows = windows[tuple(slice(None, None, step) for step in steps)]
    index = np.unravel_index(places, layer.output_shape[2:])
    chosen: Any = (slice(None), slice(None), *index)
    taken = np.moveaxis(windows[chosen], 2, 1)  # [N, places, C, *kernel]
    rows = taken.shape[0] * taken.shape[1]
    return np.ascontiguousarray(taken.reshape(rows, layer.group, -1).swapaxes(0, 1))


def at_places(outputs: FloatArray, layer: ConvLayer, places: Array) -> FloatArray:
    """Outputs [N, M, ...] at positions `places`: [G, N * places, M / G]."""
    flat = outputs.reshape(*outputs.shape[:2], -1)[:, :, places]
    rows = flat.shape[0] * len(places)
    return np.ascontiguousarray(
        np.moveaxis(flat, 2, 1).reshape(rows, layer.group, -1).swapaxes(0, 1)
    )


@dataclass(eq=False)
class MomentSums:
    """Sums over the columns of X and Y that were added, about their `origins` [G, rows or columns].

    Where the layer has a bias, which makes means right whatever the weights, these are about the
    means of what was added first: of channels that hardly change, as those that are cut off at 6,
    nothing but rounding would be left of squares about zero.
    """

    layer: ConvLayer
    count: int = 0
    origins: tuple[FloatArray, FloatArray] | None = None
    x: DoubleArray | float = 0.0
    y: DoubleArray | float = 0.0
    xx: DoubleArray | float = 0.0
    yx: DoubleArray | float = 0.0
    yy: DoubleArray | float = 0.0

    def add(self, inputs: FloatArray, outputs: FloatArray, places: Array) -> None:
        """Samples [N, C, ...] that make [N, M, ...], at some positions of the outputs."""
        x = unfolded(inputs, self.layer, places)
        y = at_places(outputs, self.layer, places)
        if self.origins is None:
            kept = np.float32(self.layer.bias is not None)
            self.origins = kept * x.mean(axis=1), kept * y.mean(axis=1)
        x = x - self.origins[0][:, None]
        y = y - self.origins[1][:, None]
        self.count += x.shape[1]
        self.x = self.x + x.sum(axis=1, dtype=np.float64)
        self.y = self.y + y.sum(axis=1, dtype=np.float64)
        self.xx = self.xx + (x.swapaxes(1, 2) @ x).astype(np.float64)
        self.yx = self.yx + (y.swapaxes(1, 2) @ x).astype(np.float64)
        self.yy = self.yy + np.einsum("gtr,gtr->gr", y, y, dtype=np.float64)

    def joined(self, other: MomentSums) -> MomentSums:
        """Those of both."""
        if other.origins is None:
            return self
        if self.origins is None:
            return other
        moved = other._about(self.origins)
        return MomentSums(
            self.layer,
            self.count + moved.count,
            self.origins,
            self.x + moved.x,
            self.y + moved.y,
            self.xx + moved.xx,
            self.yx + moved.yx,
            self.yy + moved.yy,
        )

    def problem(self, weights: FloatArray, damping: float = DAMPING) -> LayerProblem:
        """Towards the outputs that were added, from `weights` [M, C/G, *kernel].

        Where the layer has a bias about the means, which that makes right whatever the weights.
        Raises `AlcsError` for inputs or outputs that are not finite.
        """
        assert isinstance(self.xx, np.ndarray)
        assert isinstance(self.yx, np.ndarray)
        if not (np.isfinite(self.xx).all() and np.isfinite(self.yx).all()):
            raise AlcsError(
                f"layer '{self.layer.name}' cannot be refitted: its inputs or outputs on the "
                "pictures are not finite"
            )
        dense = weights.astype(np.float64).reshape(self.layer.group, self.layer.rows_per_group, -1)
        xx, yx, yy = self.xx / self.count, self.yx / self.count, self.yy / self.count
        if self.layer.bias is not None:
            x, y = np.asarray(self.x / self.count), np.asarray(self.y / self.count)
            xx = xx - x[:, :, None] * x[:, None, :]
            yx = yx - y[:, :, None] * x[:, None, :]
            yy = yy - y * y
        return LayerProblem(dense, xx, yx, np.maximum(yy, 0.0), damping)

    @property
    def means(self) -> tuple[DoubleArray, DoubleArray]:
        """Of X [G, columns] and of Y [G, rows]."""
        assert self.origins is not None
        x, y = self.origins
        return np.asarray(x + self.x / self.count), np.asarray(y + self.y / self.count)

    def bias(self, weights: DoubleArray) -> DoubleArray:
        """What makes the means of the outputs of `weights` [G, rows, columns] right, [M]."""
        x, y = self.means
        return np.asarray((y - (weights @ x[:, :, None])[:, :, 0]).reshape(-1))

    def _about(self, origins: tuple[FloatArray, FloatArray]) -> MomentSums:
        """The same sums about other origins."""
        assert self.origins is not None
        dx, dy = (np.float64(a) - b for a, b in zip(self.origins, origins, strict=True))
        x, y = np.asarray(self.x), np.asarray(self.y)
        return MomentSums(
            self.layer,
            self.count,
            origins,
            x + self.count * dx,
            y + self.count * dy,
            self.xx + _outer(x, dx) + _outer(dx, x) + self.count * _outer(dx, dx),
            self.yx + _outer(y, dx) + _outer(dy, x) + self.count * _outer(dy, dx),
            self.yy + 2 * y * dy + self.count * dy * dy,
        )


def _outer(a: DoubleArray, b: DoubleArray) -> DoubleArray:
    """Of [G, rows] and [G, columns]: [G, rows, columns]."""
    return np.asarray(a[:, :, None] * b[:, None, :])
