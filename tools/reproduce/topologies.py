"""Well-known network topologies with random weights, exported to ONNX for measurements.

Latency does not depend on the values of the weights, so nothing is trained or downloaded.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn


class _Residual(nn.Module):
    """relu(body(x) + shortcut(x)): the block of ResNet-18 (two 3x3) and ResNet-50 (bottleneck)."""

    def __init__(self, body: nn.Sequential, shortcut: nn.Module) -> None:
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.shortcut(x))


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, relu: bool = True) -> nn.Module:
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, nn.ReLU()) if relu else nn.Sequential(*layers)


def resnet(depths: tuple[int, ...], bottleneck: bool) -> nn.Module:
    """ResNet for 224x224 images: depths (2, 2, 2, 2) is ResNet-18, (3, 4, 6, 3) ResNet-50."""
    layers: list[nn.Module] = [_conv(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1)]
    channels = 64
    for stage, depth in enumerate(depths):
        width = 64 << stage
        for block in range(depth):
            stride = 2 if stage > 0 and block == 0 else 1
            outputs = 4 * width if bottleneck else width
            body = (
                nn.Sequential(
                    _conv(channels, width, 1),
                    _conv(width, width, 3, stride),
                    _conv(width, outputs, 1, relu=False),
                )
                if bottleneck
                else nn.Sequential(
                    _conv(channels, width, 3, stride), _conv(width, width, 3, relu=False)
                )
            )
            shortcut = (
                nn.Identity()
                if stride == 1 and channels == outputs
                else _conv(channels, outputs, 1, stride, relu=False)
            )
            layers.append(_Residual(body, shortcut))
            channels = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1000))


def mobilenet_v1() -> nn.Module:
    """MobileNetV1 at width 1: depthwise 3x3 and pointwise 1x1 pairs."""
    plan = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)]
    plan += [(512, 1)] * 5 + [(1024, 2), (1024, 1)]
    layers: list[nn.Module] = [_conv(3, 32, 3, 2)]
    channels = 32
    for outputs, stride in plan:
        layers += [
            nn.Conv2d(channels, channels, 3, stride, 1, groups=channels, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            _conv(channels, outputs, 1),
        ]
        channels = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1000))


TOPOLOGIES = {
    "resnet18": lambda: resnet((2, 2, 2, 2), bottleneck=False),
    "resnet50": lambda: resnet((3, 4, 6, 3), bottleneck=True),
    "mobilenet_v1": mobilenet_v1,
}


def export(name: str, path: Path, seed: int = 0) -> Path:
    """Write topology `name` with seeded random weights as 1x3x224x224 ONNX; returns `path`."""
    torch.manual_seed(seed)
    model = TOPOLOGIES[name]().eval()
    torch.onnx.export(
        model,
        (torch.zeros(1, 3, 224, 224),),
        str(path),
        input_names=["image"],
        output_names=["logits"],
        opset_version=17,
        dynamo=False,
    )
    return path
