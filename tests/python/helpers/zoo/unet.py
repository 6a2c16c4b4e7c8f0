"""U-Net: the way up sees what the way down saw, by ConvTranspose or by Resize."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from .blocks import conv_bn


def _double(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(conv_bn(inputs, outputs, 3), conv_bn(outputs, outputs, 3))


def _up(inputs: int, outputs: int, mode: str) -> nn.Module:
    if mode == "transposed":
        return nn.ConvTranspose2d(inputs, outputs, 2, 2)
    upsample = nn.Upsample(scale_factor=2, mode=mode)
    return nn.Sequential(upsample, conv_bn(inputs, outputs, act=None))


class _UNet(nn.Module):
    def __init__(self, mode: str, width: int, depth: int, classes: int) -> None:
        super().__init__()
        widths = [width << level for level in range(depth + 1)]
        pairs = list(pairwise(widths))
        self.stem = _double(3, width)
        self.down = nn.ModuleList(_double(a, b) for a, b in pairs)
        self.up = nn.ModuleList(_up(b, a, mode) for a, b in reversed(pairs))
        self.merge = nn.ModuleList(_double(b, a) for a, b in reversed(pairs))
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        skips = []
        for block in self.down:
            skips.append(x)
            x = block(torch.max_pool2d(x, 2))
        for up, merge in zip(self.up, self.merge, strict=True):
            x = merge(torch.cat([skips.pop(), up(x)], 1))
        return self.head(x)


def unet() -> nn.Module:
    """Four levels, 32 to 512 channels, ConvTranspose on the way up, 2 classes."""
    return _UNet("transposed", 32, 4, 2)


def unet_resize() -> nn.Module:
    """Three levels, 16 to 128 channels, bilinear Resize on the way up, 2 classes."""
    return _UNet("bilinear", 16, 3, 2)
