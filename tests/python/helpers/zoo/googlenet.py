"""GoogLeNet: four branches of different reach, concatenated."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .blocks import Classifier, conv_bn

#: 1×1; reduction and 3×3; reduction and 5×5; 1×1 after pooling. None: pooling between stages.
_PLAN = (
    (64, 96, 128, 16, 32, 32),
    (128, 128, 192, 32, 96, 64),
    None,
    (192, 96, 208, 16, 48, 64),
    (160, 112, 224, 24, 64, 64),
    (128, 128, 256, 24, 64, 64),
    (112, 144, 288, 32, 64, 64),
    (256, 160, 320, 32, 128, 128),
    None,
    (256, 160, 320, 32, 128, 128),
    (384, 192, 384, 48, 128, 128),
)


class _Inception(nn.Module):
    def __init__(self, inputs: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        one, three_in, three, five_in, five, pooled = widths
        self.branches = nn.ModuleList(
            [
                conv_bn(inputs, one),
                nn.Sequential(conv_bn(inputs, three_in), conv_bn(three_in, three, 3)),
                nn.Sequential(conv_bn(inputs, five_in), conv_bn(five_in, five, 5)),
                nn.Sequential(nn.MaxPool2d(3, 1, 1, ceil_mode=True), conv_bn(inputs, pooled)),
            ]
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)


def googlenet() -> nn.Module:
    """GoogLeNet with normalisation, without the auxiliary heads, 1,000 classes."""
    layers: list[nn.Module] = [
        conv_bn(3, 64, 7, 2),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        conv_bn(64, 64),
        conv_bn(64, 192, 3),
        nn.MaxPool2d(3, 2, ceil_mode=True),
    ]
    channels = 192
    for widths in _PLAN:
        if widths is None:
            layers.append(nn.MaxPool2d(3, 2, ceil_mode=True))
        else:
            layers.append(_Inception(channels, widths))
            channels = widths[0] + widths[2] + widths[4] + widths[5]
    return Classifier(nn.Sequential(*layers), channels, 1000)
