"""A small detector of C2f blocks (split, bottlenecks, concatenation) with two outputs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .blocks import conv_bn


class _C2f(nn.Module):
    """1×1 conv, halves; each bottleneck works on the last part; all parts go into a 1×1."""

    def __init__(self, inputs: int, outputs: int, depth: int, shortcut: bool) -> None:
        super().__init__()
        half = outputs // 2
        self.first = conv_bn(inputs, outputs, act=nn.SiLU)
        self.steps = nn.ModuleList(
            nn.Sequential(conv_bn(half, half, 3, act=nn.SiLU), conv_bn(half, half, 3, act=nn.SiLU))
            for _ in range(depth)
        )
        self.last = conv_bn((2 + depth) * half, outputs, act=nn.SiLU)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        parts = list(self.first(x).chunk(2, 1))
        for step in self.steps:
            y = step(parts[-1])
            parts.append(parts[-1] + y if self.shortcut else y)
        return self.last(torch.cat(parts, 1))


class _PyramidPool(nn.Module):
    """Three poolings in a row and their input, side by side."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = conv_bn(channels, channels // 2, act=nn.SiLU)
        self.pool = nn.MaxPool2d(5, 1, 2)
        self.last = conv_bn(2 * channels, channels, act=nn.SiLU)

    def forward(self, x: Tensor) -> Tensor:
        parts = [self.first(x)]
        for _ in range(3):
            parts.append(self.pool(parts[-1]))
        return self.last(torch.cat(parts, 1))


class _Detector(nn.Module):
    def __init__(self, width: int, per_cell: int) -> None:
        super().__init__()
        self.shallow = nn.Sequential(
            conv_bn(3, width, 3, 2, act=nn.SiLU),
            conv_bn(width, 2 * width, 3, 2, act=nn.SiLU),
            _C2f(2 * width, 2 * width, 1, True),
            conv_bn(2 * width, 4 * width, 3, 2, act=nn.SiLU),
            _C2f(4 * width, 4 * width, 2, True),
        )
        self.deep = nn.Sequential(
            conv_bn(4 * width, 8 * width, 3, 2, act=nn.SiLU),
            _C2f(8 * width, 8 * width, 1, True),
            _PyramidPool(8 * width),
        )
        self.up = nn.Upsample(scale_factor=2)
        self.merge = _C2f(12 * width, 4 * width, 1, False)
        self.fine = nn.Sequential(
            conv_bn(4 * width, 4 * width, 3, act=nn.SiLU), nn.Conv2d(4 * width, per_cell, 1)
        )
        self.coarse = nn.Sequential(
            conv_bn(8 * width, 4 * width, 3, act=nn.SiLU), nn.Conv2d(4 * width, per_cell, 1)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        shallow = self.shallow(x)
        deep = self.deep(shallow)
        merged = self.merge(torch.cat([self.up(deep), shallow], 1))
        return self.fine(merged).flatten(2), self.coarse(deep).flatten(2)


def yolo_c2f() -> nn.Module:
    """Widths 16 to 128; two grids of 24 values per cell."""
    return _Detector(16, 24)
