"""Element-wise functions of one tensor."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from alcs_onnx.train.operators.registry import Build, Step, register

_PLAIN: dict[str, Step] = {
    "Abs": torch.abs,
    "Ceil": torch.ceil,
    "Cos": torch.cos,
    "Erf": torch.erf,
    "Exp": torch.exp,
    "Floor": torch.floor,
    "HardSwish": functional.hardswish,
    "Log": torch.log,
    "Mish": functional.mish,
    "Neg": torch.neg,
    "Not": torch.logical_not,
    "Reciprocal": torch.reciprocal,
    "Round": torch.round,
    "Sigmoid": torch.sigmoid,
    "Sign": torch.sign,
    "Sin": torch.sin,
    "Softplus": functional.softplus,
    "Softsign": functional.softsign,
    "Sqrt": torch.sqrt,
    "Tanh": torch.tanh,
}


@register(*_PLAIN)
def plain(build: Build) -> Step:
    """Functions without attributes."""
    return _PLAIN[build.node.op_type]


@register("Identity")
def identity(_build: Build) -> Step:
    """The value itself."""
    return lambda x: x


@register("Dropout")
def dropout(build: Build) -> Step:
    """As in inference: the value itself, and a mask that keeps everything."""
    if build.input(2) and (build.constant(2) is None or bool(build.constant(2))):
        raise build.unsupported("training_mode is not constantly false")
    if not any(build.node.outputs[1:]):
        return lambda x, *_: x
    return lambda x, *_: (x, torch.ones_like(x, dtype=torch.bool))


@register("Relu")
def relu(build: Build) -> Step:
    """max(x, 0), in place where the producer's output is needed by nobody else."""
    return torch.relu_ if build.may_overwrite(0) else torch.relu


@register("LeakyRelu")
def leaky_relu(build: Build) -> Step:
    """Slope alpha below zero."""
    alpha = float(build.attribute("alpha", 0.01))
    return lambda x: functional.leaky_relu(x, alpha)


@register("PRelu", parameters=(1,))
def prelu(_build: Build) -> Step:
    """A trained slope below zero, broadcast to x as numpy does (unlike torch's own)."""
    return lambda x, slope: torch.where(x < 0, x * slope, x)


@register("Elu", "Celu", "ThresholdedRelu")
def elu_like(build: Build) -> Step:
    """Elu(alpha), Celu(alpha), ThresholdedRelu(alpha)."""
    alpha = float(build.attribute("alpha", 1.0))
    if build.node.op_type == "Elu":
        return lambda x: functional.elu(x, alpha)
    if build.node.op_type == "Celu":
        return lambda x: functional.celu(x, alpha)
    return lambda x: functional.threshold(x, alpha, 0.0)


@register("Selu")
def selu(build: Build) -> Step:
    """gamma * (alpha * exp(x) - alpha) below zero, gamma * x above."""
    alpha = float(build.attribute("alpha", 1.67326319217681884765625))
    gamma = float(build.attribute("gamma", 1.05070102214813232421875))
    return lambda x: gamma * functional.elu(x, alpha)


@register("Gelu")
def gelu(build: Build) -> Step:
    """Gelu, exact or with the tanh approximation."""
    approximate = build.text("approximate", "none")
    return lambda x: functional.gelu(x, approximate=approximate)


@register("HardSigmoid")
def hard_sigmoid(build: Build) -> Step:
    """clip(alpha * x + beta, 0, 1)."""
    alpha = float(build.attribute("alpha", 0.2))
    beta = float(build.attribute("beta", 0.5))
    return lambda x: (x * alpha + beta).clamp(0, 1)


@register("Clip", since=11)
def clip(build: Build) -> Step:
    """Clip between bounds that may be absent, constant or computed."""
    bounds = [build.constant(i) if build.input(i) else np.array([]) for i in (1, 2)]
    if any(bound is None for bound in bounds):

        def computed(x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
            return x if low is None and high is None else torch.clamp(x, low, high)

        return computed
    low, high = (None if b is None or b.size == 0 else b.item() for b in bounds)
    if low is None and high is None:
        return lambda x, *_: x
    if low is not None and high is not None and low <= high:
        # As clamp, and quicker, but for the gradient exactly at a bound, which is 0.
        return lambda x, *_: (
            functional.hardtanh(x, low, high) if x.is_floating_point() else x.clamp(low, high)
        )
    return lambda x, *_: torch.clamp(x, low, high)


_SOFTMAX: dict[str, Step] = {"Softmax": torch.softmax, "LogSoftmax": torch.log_softmax}


@register("Softmax", "LogSoftmax", since=13)
def softmax(build: Build) -> Step:
    """Softmax along one axis."""
    axis = int(build.attribute("axis", -1))
    function = _SOFTMAX[build.node.op_type]
    return lambda x: function(x, axis)


@register("Softmax", "LogSoftmax")
def flat_softmax(build: Build) -> Step:
    """Softmax over everything from `axis` on at once."""
    axis = int(build.attribute("axis", 1))
    function = _SOFTMAX[build.node.op_type]

    def step(x: Tensor) -> Tensor:
        rows = x.shape[: axis % x.dim()]
        y: Tensor = function(x.reshape(*rows, -1), -1)
        return y.reshape(x.shape)

    return step
