"""What the torch networks share: blocks, random statistics, and the export to ONNX."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


def conv_bn(
    inputs: int,
    outputs: int,
    kernel: int = 1,
    stride: int = 1,
    *,
    groups: int = 1,
    act: type[nn.Module] | None = nn.ReLU,
) -> nn.Sequential:
    """Conv without bias, BatchNorm, activation."""
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, act()) if act else nn.Sequential(*layers)


class SqueezeExcite(nn.Module):
    """x · gate(expand(act(squeeze(mean of x)))).

    `by_mean` takes the mean over two axes (ReduceMean) instead of a pooling layer.
    """

    def __init__(
        self,
        channels: int,
        squeezed: int,
        act: type[nn.Module] = nn.ReLU,
        gate: type[nn.Module] = nn.Sigmoid,
        by_mean: bool = False,
    ) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.expand = nn.Conv2d(squeezed, channels, 1)
        self.act, self.gate = act(), gate()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.by_mean = by_mean

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean((2, 3), keepdim=True) if self.by_mean else self.pool(x)
        return x * self.gate(self.expand(self.act(self.squeeze(mean))))


class Classifier(nn.Sequential):
    """Features, global pooling and linear layers with ReLU between them."""

    def __init__(self, features: nn.Module, *widths: int, act: type[nn.Module] = nn.ReLU) -> None:
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            layers += [act()] if layers else []
            layers.append(nn.Linear(inputs, outputs))
        super().__init__(features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), *layers)


def randomise(module: nn.Module, input_shape: Sequence[int], seed: int = 0) -> nn.Module:
    """Random weights, and normalisations that keep activations around 1; returns the module.

    The statistics of BatchNorm are those of random images, moved a little, so that folding
    them has something to do and no channel is zero or like another.
    """
    torch.manual_seed(seed)
    norms = [m for m in module.modules() if isinstance(m, nn.BatchNorm2d)]
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            nn.init.kaiming_normal_(layer.weight)
            if layer.bias is not None:
                nn.init.normal_(layer.bias, std=0.1)
    with torch.no_grad():
        for norm in norms:
            norm.weight.uniform_(0.7, 1.3)
            norm.bias.normal_(std=0.2)
            norm.momentum = 1.0  # the statistics of the one batch below
        if norms:
            module.train()(torch.randn(4, *input_shape[1:]))
        for norm in norms:
            assert norm.running_var is not None
            assert norm.running_mean is not None
            spread = norm.running_var.sqrt()
            norm.running_mean += 0.1 * spread * torch.randn_like(spread)
            norm.running_var *= torch.empty_like(spread).uniform_(0.8, 1.3)
            norm.running_var += 1e-3
    return module.eval()


def export(module: nn.Module, input_shape: Sequence[int], open_axes: Mapping[int, str]) -> bytes:
    """The module in ONNX at opset 17, for input `x` of `input_shape`.

    `open_axes` are those whose size the file leaves open, with their symbols: the exporter computes
    at run time what follows them. Nothing is folded by it: BatchNormalization nodes stay.
    """
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter that needs no other package is an old one
        torch.onnx.export(
            module,
            (torch.zeros(*input_shape),),
            file,  # type: ignore[arg-type] # paths alone are declared
            input_names=["x"],
            dynamic_axes={"x": dict(open_axes)},
            opset_version=17,
            training=torch.onnx.TrainingMode.PRESERVE,
            do_constant_folding=False,
            dynamo=False,
        )
    return file.getvalue()
