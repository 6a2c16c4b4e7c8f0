"""Reductions along axes, which older versions give as an attribute and newer as an input."""

from __future__ import annotations

import torch
from torch import Tensor

from alcs_onnx.train.operators.registry import Build, Step, register


def _product(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    """Along several axes, the last ones first, so that the others keep their numbers."""
    for axis in sorted((axis % max(x.dim(), 1) for axis in axes), reverse=True):
        x = x.prod(axis, keep)
    return x


_REDUCERS: dict[str, Step] = {
    "ReduceL1": lambda x, axes, keep: x.abs().sum(axes, keep),
    "ReduceL2": lambda x, axes, keep: torch.linalg.vector_norm(x, 2, axes, keep),
    "ReduceMax": lambda x, axes, keep: x.amax(axes, keep),
    "ReduceMean": lambda x, axes, keep: x.mean(axes, keep),
    "ReduceMin": lambda x, axes, keep: x.amin(axes, keep),
    "ReduceProd": _product,
    "ReduceSum": lambda x, axes, keep: x.sum(axes, keep),
    "ReduceSumSquare": lambda x, axes, keep: (x * x).sum(axes, keep),
}


@register(*_REDUCERS)
def reduce(build: Build) -> Step:
    """Reduction over the given axes, or over all of them where none is given."""
    function = _REDUCERS[build.node.op_type]
    keep = bool(build.attribute("keepdims", 1))
    axes = build.constant_ints(1) or build.ints("axes")
    if not axes and build.attribute("noop_with_empty_axes", 0):
        return lambda x, *_: x
    return lambda x, *_: function(x, axes or tuple(range(x.dim())), keep)


@register("ArgMax", "ArgMin")
def arg_extreme(build: Build) -> Step:
    """Index of the largest or smallest element along an axis."""
    if build.attribute("select_last_index", 0):
        raise build.unsupported("select_last_index")
    axis = int(build.attribute("axis", 0))
    keep = bool(build.attribute("keepdims", 1))
    function = torch.argmax if build.node.op_type == "ArgMax" else torch.argmin

    def step(x: Tensor) -> Tensor:
        return function(x, axis, keep)

    return step
