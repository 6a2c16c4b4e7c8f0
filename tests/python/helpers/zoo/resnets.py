"""Residual networks with grouped convolutions: ResNeXt-50 32×4d and RegNet-Y of 400 MF."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .blocks import Classifier, SqueezeExcite, conv_bn


class _Bottleneck(nn.Module):
    """1×1, grouped 3×3, perhaps a gate, 1×1; a projection where the shape changes."""

    def __init__(
        self, inputs: int, width: int, outputs: int, groups: int, stride: int, squeezed: int = 0
    ) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv_bn(inputs, width),
            conv_bn(width, width, 3, stride, groups=groups),
            *([SqueezeExcite(width, squeezed)] if squeezed else []),
            conv_bn(width, outputs, act=None),
        )
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else conv_bn(inputs, outputs, 1, stride, act=None)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.shortcut(x))


def resnext50() -> nn.Module:
    """ResNeXt-50 32×4d with 1,000 classes."""
    layers: list[nn.Module] = [conv_bn(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1)]
    channels = 64
    for stage, depth in enumerate((3, 4, 6, 3)):
        outputs, width = 256 << stage, 128 << stage
        for block in range(depth):
            stride = 2 if stage and not block else 1
            layers.append(_Bottleneck(channels, width, outputs, 32, stride))
            channels = outputs
    return Classifier(nn.Sequential(*layers), channels, 1000)


def regnet_y() -> nn.Module:
    """RegNet-Y of 400 MF: groups 8 wide, gates of a quarter of the block's input."""
    layers: list[nn.Module] = [conv_bn(3, 32, 3, 2)]
    channels = 32
    for width, depth in ((48, 1), (104, 3), (208, 6), (440, 6)):
        for block in range(depth):
            stride = 1 if block else 2
            layers.append(
                _Bottleneck(channels, width, width, width // 8, stride, round(channels / 4))
            )
            channels = width
    return Classifier(nn.Sequential(*layers), channels, 1000)
