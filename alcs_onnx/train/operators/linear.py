"""Convolutions and matrix products: the operators that carry weights."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from alcs_onnx.train.operators.registry import Build, Step, register
from alcs_onnx.train.operators.windows import is_symmetric, padding, torch_order


def _kernel(build: Build) -> tuple[int, ...]:
    shape = build.shape(1)
    kernel = build.ints("kernel_shape") or (shape[2:] if shape is not None else ())
    if not 1 <= len(kernel) <= 3:
        raise build.unsupported(f"{len(kernel)} spatial dimensions")
    return kernel


@register("Conv", parameters=(1, 2))
def conv(build: Build) -> Step:
    """Convolution of 1 to 3 spatial dimensions, grouped, dilated, padded as ONNX says."""
    kernel = _kernel(build)
    rank = len(kernel)
    strides = build.ints("strides", (1,) * rank)
    dilations = build.ints("dilations", (1,) * rank)
    group = int(build.attribute("group", 1))
    pads_of = cache(padding(build, kernel, strides, dilations))
    function = (functional.conv1d, functional.conv2d, functional.conv3d)[rank - 1]
    # The gradient of strided 1x1 convolutions of fewer channels than a register has lanes writes
    # beyond its memory in the channels_last format (torch 2.13.0): their pixels are taken before.
    pointwise = set(kernel) == {1} and set(strides) != {1}
    taken = (slice(None), slice(None), *(slice(None, None, stride) for stride in strides))

    def step(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        pads = pads_of(tuple(x.shape[2:]))
        if group == 1 and x.shape[2:] == weight.shape[2:] and not any(map(any, pads)):
            # One output pixel: a fully connected layer, which torch runs 3 times faster as such.
            y = functional.linear(x.flatten(1), weight.flatten(1), bias)
            return y.reshape(*y.shape, *(1 for _ in kernel))
        if pointwise and not any(map(any, pads)):
            return function(x[taken], weight, bias, 1, 0, 1, group)
        if is_symmetric(pads):
            amount = tuple(begin for begin, _ in pads)
            return function(x, weight, bias, strides, amount, dilations, group)
        padded = functional.pad(x, torch_order(pads))
        return function(padded, weight, bias, strides, (0,) * rank, dilations, group)

    return step


@register("ConvTranspose", parameters=(1, 2))
def conv_transpose(build: Build) -> Step:
    """Transposed convolution; unequal pads are cropped from the unpadded result."""
    kernel = _kernel(build)
    rank = len(kernel)
    if build.text("auto_pad", "NOTSET") not in ("NOTSET", "VALID") or build.ints("output_shape"):
        raise build.unsupported("auto_pad and output_shape of a transposed convolution")
    strides = build.ints("strides", (1,) * rank)
    dilations = build.ints("dilations", (1,) * rank)
    extra = build.ints("output_padding", (0,) * rank)
    flat = build.ints("pads", (0,) * (2 * rank))
    pads = tuple(zip(flat[:rank], flat[rank:], strict=True))
    group = int(build.attribute("group", 1))
    function = (
        functional.conv_transpose1d,
        functional.conv_transpose2d,
        functional.conv_transpose3d,
    )[rank - 1]
    symmetric = is_symmetric(pads)
    amount = tuple(begin for begin, _ in pads) if symmetric else (0,) * rank

    def step(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        y: Tensor = function(x, weight, bias, strides, amount, extra, group, dilations)
        if not symmetric:
            for axis, (begin, end) in enumerate(pads, start=2):
                y = y.narrow(axis, begin, y.shape[axis] - begin - end)
        return y

    return step


@register("Gemm", parameters=(0, 1, 2))
def gemm(build: Build) -> Step:
    """alpha * A' B' + beta * C, transposed as the attributes say."""
    alpha = float(build.attribute("alpha", 1.0))
    beta = float(build.attribute("beta", 1.0))
    trans_a = bool(build.attribute("transA", 0))
    trans_b = bool(build.attribute("transB", 0))

    def step(a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
        a = a.t() if trans_a else a
        if alpha == 1 and beta == 1 and c is not None and c.dim() == 1:
            return functional.linear(a, b if trans_b else b.t(), c)
        y = a @ (b.t() if trans_b else b)
        y = y if alpha == 1 else y * alpha
        return y if c is None else y + (c if beta == 1 else c * beta)

    return step


@register("MatMul", parameters=(0, 1))
def matmul(_build: Build) -> Step:
    """Matrix product with numpy broadcasting."""
    return torch.matmul
