"""Operators that move, cut or join elements without computing with them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from alcs_onnx.train.operators.registry import Build, Step, int_list, register

#: ONNX element types (TensorProto.DataType) that training can meet.
_DTYPES: dict[int, torch.dtype] = {
    1: torch.float32,
    2: torch.uint8,
    3: torch.int8,
    5: torch.int16,
    6: torch.int32,
    7: torch.int64,
    9: torch.bool,
    10: torch.float16,
    11: torch.float64,
    16: torch.bfloat16,
}


def _reshape(x: Tensor, wanted: Any, copy_zero: bool) -> Tensor:
    return x.reshape(
        [x.shape[i] if size == 0 and copy_zero else size for i, size in enumerate(wanted)]
    )


@register("Reshape")
def reshape(build: Build) -> Step:
    """New shape; 0 keeps the input's size at that place, -1 is what is left."""
    copy_zero = not build.attribute("allowzero", 0)
    constant = build.constant(1)
    if constant is None:
        return lambda x, shape: _reshape(x, int_list(shape), copy_zero)
    wanted = [int(v) for v in constant]
    return lambda x, _: _reshape(x, wanted, copy_zero)


@register("Flatten")
def flatten(build: Build) -> Step:
    """Two axes: everything before `axis`, everything from it on."""
    axis = int(build.attribute("axis", 1))
    if axis == 1:
        return lambda x: x.flatten(1) if x.dim() > 1 else x.reshape(x.shape[0], 1)

    def step(x: Tensor) -> Tensor:
        at = axis + x.dim() if axis < 0 else axis
        rows = int(np.prod(x.shape[:at]))
        return x.reshape(rows, x.numel() // rows)

    return step


@register("Transpose")
def transpose(build: Build) -> Step:
    """Permuted axes; all reversed where no permutation is given."""
    perm = build.ints("perm")
    return lambda x: x.permute(perm or tuple(reversed(range(x.dim()))))


@register("Squeeze")
def squeeze(build: Build) -> Step:
    """Axes of size 1 removed; they are an attribute before opset 13."""
    numbers, attribute = build.numbers(1), build.ints("axes")

    def step(x: Tensor, *more: Tensor) -> Tensor:
        axes = numbers((x, *more)) or attribute
        return x.squeeze(axes) if axes else x.squeeze()

    return step


@register("Unsqueeze")
def unsqueeze(build: Build) -> Step:
    """Axes of size 1 inserted; they count in the output's rank, an attribute before opset 13."""
    numbers, attribute = build.numbers(1), build.ints("axes")

    def step(x: Tensor, *more: Tensor) -> Tensor:
        axes = numbers((x, *more)) or attribute
        rank = x.dim() + len(axes)
        for axis in sorted(a % rank for a in axes):
            x = x.unsqueeze(axis)
        return x

    return step


@register("Concat")
def concat(build: Build) -> Step:
    """Tensors joined along an axis."""
    axis = int(build.attribute("axis"))
    return lambda *values: torch.cat(values, axis)


@register("Split", since=2)
def split(build: Build) -> Step:
    """Cut along an axis into given or equal parts; sizes are an attribute before opset 13."""
    axis = int(build.attribute("axis", 0))
    numbers, attribute = build.numbers(1), build.ints("split")
    parts = len(build.node.outputs)

    def step(x: Tensor, *more: Tensor) -> tuple[Tensor, ...]:
        sizes = numbers((x, *more)) or attribute
        return torch.split(x, list(sizes) if sizes else -(-x.shape[axis] // parts), axis)

    return step


@register("Slice", since=10)
def cut(build: Build) -> Step:
    """Strided ranges of some axes; negative steps walk backwards."""
    numbers = [build.numbers(index) for index in (1, 2, 3, 4)]

    def step(*values: Tensor | None) -> Tensor:
        x = values[0]
        assert x is not None
        starts, ends, axes, steps = (read(values) or () for read in numbers)
        axes, steps = axes or tuple(range(len(starts))), steps or (1,) * len(starts)
        ranges = zip(axes, starts, ends, steps, strict=True)
        index: list[slice] = [slice(None)] * x.dim()
        reverse = []
        for axis, start, end, stride in ranges:
            if stride < 0:
                picked = range(*slice(start, end, stride).indices(x.shape[axis]))
                reverse.append((axis, torch.tensor(list(picked), dtype=torch.int64)))
            else:
                index[axis] = slice(start, end, stride)
        x = x[tuple(index)]
        for axis, picks in reverse:
            x = x.index_select(axis, picks.to(x.device))
        return x

    return step


@register("Pad", since=11)
def pad(build: Build) -> Step:
    """Constant, edge, reflect or wrap padding of any axes; negative amounts crop."""
    numbers, numbers_of_axes = build.numbers(1), build.numbers(3)
    value = build.constant(2)
    if build.input(2) and value is None:
        raise build.unsupported("a computed padding value")
    fill = 0.0 if value is None or value.size == 0 else value.item()
    mode = build.text("mode", "constant")
    if mode not in ("constant", "edge", "reflect", "wrap"):
        raise build.unsupported(f"mode '{mode}'")

    def step(*values: Any) -> Tensor:
        x: Tensor = values[0]
        amounts = numbers(values) or ()
        axes = numbers_of_axes(values) or tuple(range(len(amounts) // 2))
        begins, ends = amounts[: len(axes)], amounts[len(axes) :]
        pairs = [(0, 0)] * x.dim()
        for axis, begin, end in zip(axes, begins, ends, strict=True):
            pairs[axis] = (begin, end)
        if mode == "constant":
            return functional.pad(x, [v for pair in reversed(pairs) for v in pair], value=fill)
        for axis, (begin, end) in enumerate(pairs):
            if begin or end:
                x = x.index_select(axis, _pad_index(x.shape[axis], begin, end).to(x.device))
        return x

    def _pad_index(size: int, begin: int, end: int) -> Tensor:
        index = np.arange(-begin, size + end)
        if mode == "edge":
            index = index.clip(0, size - 1)
        elif mode == "wrap":
            index = index % size
        else:
            period = max(2 * (size - 1), 1)
            index = np.abs((index + size - 1) % period - (size - 1))
        return torch.from_numpy(index)

    return step


@register("Gather")
def gather(build: Build) -> Step:
    """Slices picked along an axis; negative indices count from the end."""
    axis = int(build.attribute("axis", 0))
    constant = build.constant(1)
    shape = build.shape(0)
    if constant is not None and constant.ndim == 0:
        index = int(constant)
        return lambda x, _: x.select(axis, index)
    if constant is not None and shape is not None and constant.ndim == 1:
        picks = constant % shape[axis]
        if picks.size and np.array_equal(picks, np.arange(picks[0], picks[0] + picks.size)):
            start, length = int(picks[0]), int(picks.size)
            return lambda x, _: x.narrow(axis, start, length)
        steps = np.diff(picks)
        if picks.size > 1 and steps[0] > 0 and (steps == steps[0]).all():
            # A strided pick, as channel shuffles make it: a view, and a cheap gradient.
            window = slice(int(picks[0]), int(picks[-1]) + 1, int(steps[0]))
            index_at = (slice(None),) * (axis % len(shape)) + (window,)
            return lambda x, _: x[index_at]

    def step(x: Tensor, indices: Tensor) -> Tensor:
        at = axis % x.dim()
        flat = indices.reshape(-1).remainder(x.shape[at])
        y = x.index_select(at, flat)
        return y.reshape(*x.shape[:at], *indices.shape, *x.shape[at + 1 :])

    return step


@register("GatherND", since=11)
def gather_nd(build: Build) -> Step:
    """Slices at index tuples, behind `batch_dims` axes that data and indices share."""
    shared = int(build.attribute("batch_dims", 0))

    def step(x: Tensor, indices: Tensor) -> Tensor:
        batch = x.shape[:shared]
        rows = int(np.prod(batch))
        flat, at = (
            x.reshape(rows, *x.shape[shared:]),
            indices.reshape(rows, *indices.shape[shared:]),
        )
        row = torch.arange(rows, device=x.device).reshape(rows, *(1 for _ in at.shape[1:-1]))
        y = flat[(row, *at.unbind(-1))]
        return y.reshape(*batch, *y.shape[1:])

    return step


@register("Expand")
def expand(build: Build) -> Step:
    """Broadcast to a shape, both ways as numpy does."""
    constant = build.constant(1)
    wanted = None if constant is None else [int(v) for v in constant]

    def step(x: Tensor, shape: Tensor) -> Tensor:
        target = wanted if wanted is not None else int_list(shape)
        return x.expand(np.broadcast_shapes(tuple(x.shape), tuple(target)))

    return step


@register("Tile", since=6)
def tile(build: Build) -> Step:
    """Repeats along every axis."""
    numbers = build.numbers(1)
    return lambda x, repeats: x.repeat(numbers((x, repeats)) or ())


@register("Cast")
def cast(build: Build) -> Step:
    """Another element type."""
    code = int(build.attribute("to"))
    if code not in _DTYPES:
        raise build.unsupported(f"element type {code}")
    dtype = _DTYPES[code]
    return lambda x: x.to(dtype)


@register("Shape")
def shape_of(build: Build) -> Step:
    """The shape as a tensor of integers."""
    start, end = int(build.attribute("start", 0)), build.attribute("end")
    window = slice(start, None if end is None else int(end))
    return lambda x: torch.tensor(list(x.shape)[window], dtype=torch.int64)


@register("Size")
def size_of(_build: Build) -> Step:
    """How many elements there are."""
    return lambda x: torch.tensor(x.numel(), dtype=torch.int64)


@register("Range", since=11)
def count_up(_build: Build) -> Step:
    """Numbers from a start up or down to a limit, which is left out."""

    def step(start: Tensor, limit: Tensor, delta: Tensor) -> Tensor:
        bounds = (start.item(), limit.item(), delta.item())
        return torch.arange(*bounds, dtype=start.dtype, device=start.device)

    return step


@register("ConstantOfShape", since=9)
def constant_of_shape(build: Build) -> Step:
    """A tensor of one value."""
    value = build.attribute("value")
    fill = torch.from_numpy(np.array(value if value is not None else [0.0], np.float32))
    if value is not None:
        fill = torch.from_numpy(np.asarray(value).copy())
    return lambda shape: fill.reshape(()).expand(int_list(shape)).clone()


@register("DepthToSpace", since=11)
def depth_to_space(build: Build) -> Step:
    """Blocks of channels moved into space, in DCR or CRD order."""
    size = int(build.attribute("blocksize"))
    if build.text("mode", "DCR") == "CRD":
        return lambda x: functional.pixel_shuffle(x, size)

    def step(x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        y = x.reshape(n, size, size, c // size**2, h, w).permute(0, 3, 4, 1, 5, 2)
        return y.reshape(n, c // size**2, h * size, w * size)

    return step


@register("SpaceToDepth")
def space_to_depth(build: Build) -> Step:
    """Blocks of space moved into channels."""
    size = int(build.attribute("blocksize"))

    def step(x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        y = x.reshape(n, c, h // size, size, w // size, size).permute(0, 3, 5, 1, 2, 4)
        return y.reshape(n, c * size**2, h // size, w // size)

    return step
