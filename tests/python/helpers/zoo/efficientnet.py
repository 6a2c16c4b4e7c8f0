"""EfficientNet-B0: inverted residuals with gates and SiLU."""

from __future__ import annotations

from torch import Tensor, nn

from .blocks import Classifier, SqueezeExcite, conv_bn

#: expansion, kernel, stride, outputs, depth.
_PLAN = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)


class _Block(nn.Module):
    def __init__(self, inputs: int, expansion: int, kernel: int, stride: int, outputs: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.body = nn.Sequential(
            *([conv_bn(inputs, wide, act=nn.SiLU)] if expansion > 1 else []),
            conv_bn(wide, wide, kernel, stride, groups=wide, act=nn.SiLU),
            SqueezeExcite(wide, max(1, inputs // 4), act=nn.SiLU, by_mean=True),
            conv_bn(wide, outputs, act=None),
        )
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x) if self.residual else self.body(x)


def efficientnet_b0() -> nn.Module:
    """EfficientNet-B0 with 1,000 classes."""
    layers: list[nn.Module] = [conv_bn(3, 32, 3, 2, act=nn.SiLU)]
    channels = 32
    for expansion, kernel, stride, outputs, depth in _PLAN:
        for block in range(depth):
            step = 1 if block else stride
            layers.append(_Block(channels, expansion, kernel, step, outputs))
            channels = outputs
    layers.append(conv_bn(channels, 1280, act=nn.SiLU))
    return Classifier(nn.Sequential(*layers), 1280, 1000)
