"""SqueezeNet 1.1: no normalisation, and a convolution whose channels are the classes."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class _Fire(nn.Module):
    def __init__(self, inputs: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeezed, 1)
        self.one = nn.Conv2d(squeezed, expanded, 1)
        self.three = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.squeeze(x))
        return torch.cat([torch.relu(self.one(x)), torch.relu(self.three(x))], 1)


def squeezenet() -> nn.Module:
    """SqueezeNet 1.1 with 1,000 classes."""
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 3, 2), nn.ReLU(), nn.MaxPool2d(3, 2)]
    channels = 64
    for index, squeezed in enumerate((16, 16, 32, 32, 48, 48, 64, 64)):
        layers.append(_Fire(channels, squeezed, 4 * squeezed))
        channels = 8 * squeezed
        if index in (1, 3):
            layers.append(nn.MaxPool2d(3, 2, ceil_mode=True))
    layers += [nn.Dropout(), nn.Conv2d(channels, 1000, 1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
