"""ShuffleNetV2 at width 1: halves of the channels, and a shuffle by reshape and transpose."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .blocks import Classifier, conv_bn


def _shuffle(x: Tensor, groups: int) -> Tensor:
    n, c, h, w = x.shape
    return x.reshape(n, groups, c // groups, h, w).transpose(1, 2).reshape(n, c, h, w)


def _branch(inputs: int, width: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        conv_bn(inputs, width),
        conv_bn(width, width, 3, stride, groups=width, act=None),
        conv_bn(width, width),
    )


class _Unit(nn.Module):
    """Half of the channels goes through the branch, the other half past it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch = _branch(channels // 2, channels // 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        passed, changed = x.chunk(2, 1)
        return _shuffle(torch.cat([passed, self.branch(changed)], 1), 2)


class _Down(nn.Module):
    """Both branches see all channels and halve the image."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.left = nn.Sequential(
            conv_bn(inputs, inputs, 3, 2, groups=inputs, act=None), conv_bn(inputs, outputs // 2)
        )
        self.right = _branch(inputs, outputs // 2, 2)

    def forward(self, x: Tensor) -> Tensor:
        return _shuffle(torch.cat([self.left(x), self.right(x)], 1), 2)


def shufflenet_v2() -> nn.Module:
    """ShuffleNetV2 x1.0 with 1,000 classes."""
    layers: list[nn.Module] = [conv_bn(3, 24, 3, 2), nn.MaxPool2d(3, 2, 1)]
    channels = 24
    for outputs, depth in ((116, 4), (232, 8), (464, 4)):
        layers.append(_Down(channels, outputs))
        layers += [_Unit(outputs) for _ in range(depth - 1)]
        channels = outputs
    layers.append(conv_bn(channels, 1024))
    return Classifier(nn.Sequential(*layers), 1024, 1000)
