"""Pooling with ONNX's padding, rounding and counting rules."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from alcs_onnx.train.operators.registry import Build, Step, register
from alcs_onnx.train.operators.windows import Pads, is_symmetric, padding, torch_order
from alcs_onnx.types import Shape


class _Window:
    """Where the windows of a pooling node lie, for any input size."""

    def __init__(self, build: Build) -> None:
        self.kernel = build.ints("kernel_shape")
        rank = len(self.kernel)
        if not 1 <= rank <= 3:
            raise build.unsupported(f"{rank} spatial dimensions")
        self.strides = build.ints("strides", (1,) * rank)
        self.dilations = build.ints("dilations", (1,) * rank)
        self._ceil = bool(build.attribute("ceil_mode", 0))
        self._pads = padding(build, self.kernel, self.strides, self.dilations)
        self.layout = cache(self._layout)

    def _layout(self, shape: Shape) -> tuple[Pads, Pads]:
        """The declared padding, and what ceil_mode adds behind it."""
        pads = self._pads(shape)
        extra = []
        for size, (begin, end), k, s, d in zip(
            shape, pads, self.kernel, self.strides, self.dilations, strict=True
        ):
            room = size + begin + end - (d * (k - 1) + 1)
            steps = room // s
            # A last window that would start behind the data and its leading pad is dropped.
            if self._ceil and room % s and (steps + 1) * s < size + begin:
                steps += 1
            extra.append((0, max(steps * s - room, 0)))
        return pads, tuple(extra)


@register("MaxPool")
def max_pool(build: Build) -> Step:
    """Maximum over windows; the index output is not supported."""
    if len([name for name in build.node.outputs if name]) > 1:
        raise build.unsupported("the Indices output")
    window = _Window(build)
    function = (functional.max_pool1d, functional.max_pool2d, functional.max_pool3d)[
        len(window.kernel) - 1
    ]

    def step(x: Tensor) -> Tensor:
        pads, extra = window.layout(tuple(x.shape[2:]))
        small = all(2 * begin <= k for (begin, _), k in zip(pads, window.kernel, strict=True))
        amount: tuple[int, ...] = (0,) * len(pads)
        if is_symmetric(pads) and small and not any(end for _, end in extra):
            amount = tuple(begin for begin, _ in pads)
        else:
            whole = tuple((b, e + more) for (b, e), (_, more) in zip(pads, extra, strict=True))
            x = functional.pad(x, torch_order(whole), value=-torch.inf)
        return function(x, window.kernel, window.strides, amount, window.dilations)

    return step


@register("AveragePool")
def average_pool(build: Build) -> Step:
    """Mean over windows; padding counts only with count_include_pad."""
    window = _Window(build)
    if any(d != 1 for d in window.dilations):
        raise build.unsupported("dilations")
    include = bool(build.attribute("count_include_pad", 0))
    function = (functional.avg_pool1d, functional.avg_pool2d, functional.avg_pool3d)[
        len(window.kernel) - 1
    ]

    def share(x: Tensor, pads: Pads, extra: Pads) -> Tensor:
        """Counted elements of each window as a share of the kernel, to divide by."""
        ones = x.new_ones((1, 1, *x.shape[2:]))
        ones = functional.pad(ones, torch_order(pads), value=1.0 if include else 0.0)
        return function(functional.pad(ones, torch_order(extra)), window.kernel, window.strides)

    def step(x: Tensor) -> Tensor:
        pads, extra = window.layout(tuple(x.shape[2:]))
        whole = tuple((b, e + more) for (b, e), (_, more) in zip(pads, extra, strict=True))
        if not any(torch_order(whole)):
            return function(x, window.kernel, window.strides)
        y = function(functional.pad(x, torch_order(whole)), window.kernel, window.strides)
        if include and not any(torch_order(extra)):
            return y
        return y / share(x, pads, extra)

    return step


@register("GlobalAveragePool")
def global_average_pool(_build: Build) -> Step:
    """Mean over all spatial axes."""
    return lambda x: x.mean(dim=tuple(range(2, x.dim())), keepdim=True)


@register("GlobalMaxPool")
def global_max_pool(_build: Build) -> Step:
    """Maximum over all spatial axes."""
    return lambda x: x.amax(dim=tuple(range(2, x.dim())), keepdim=True)
