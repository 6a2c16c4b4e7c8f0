"""Normalisation layers that were not folded away."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from alcs_onnx.train.operators.registry import Build, Step, register


@register("BatchNormalization", parameters=(1, 2))
def batch_normalization(build: Build) -> Step:
    """Inference form: the stored mean and variance stay fixed while scale and bias train."""
    if build.attribute("training_mode", 0):
        raise build.unsupported("training_mode is set")
    epsilon = float(build.attribute("epsilon", 1e-5))

    def step(x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        return functional.batch_norm(x, mean, variance, scale, bias, training=False, eps=epsilon)

    return step


@register("InstanceNormalization", parameters=(1, 2))
def instance_normalization(build: Build) -> Step:
    """Normalisation of every channel of every sample by itself."""
    epsilon = float(build.attribute("epsilon", 1e-5))
    return lambda x, scale, bias: functional.instance_norm(x, weight=scale, bias=bias, eps=epsilon)


@register("LayerNormalization", since=17, parameters=(1, 2))
def layer_normalization(build: Build) -> Step:
    """Normalisation over the axes from `axis` on."""
    if len([name for name in build.node.outputs if name]) > 1:
        raise build.unsupported("more than one output")
    axis = int(build.attribute("axis", -1))
    epsilon = float(build.attribute("epsilon", 1e-5))

    def step(x: Tensor, scale: Tensor, bias: Tensor | None = None) -> Tensor:
        shape = x.shape[axis:]
        y = functional.layer_norm(x, shape, eps=epsilon) * scale
        return y if bias is None else y + bias

    return step


@register("LRN")
def local_response(build: Build) -> Step:
    """Local response normalisation across channels."""
    size = int(build.attribute("size"))
    alpha = float(build.attribute("alpha", 1e-4))
    beta = float(build.attribute("beta", 0.75))
    bias = float(build.attribute("bias", 1.0))
    before, after = (size - 1) // 2, size - 1 - (size - 1) // 2

    def step(x: Tensor) -> Tensor:
        squares = (x * x).flatten(2).transpose(1, 2)
        total = functional.avg_pool1d(functional.pad(squares, (before, after)), size, 1) * size
        total = total.transpose(1, 2).reshape(x.shape)
        return x / torch.pow(bias + alpha / size * total, beta)

    return step
