"""MobileNetV3-large: inverted residuals, some with a gate, in hard activations."""

from __future__ import annotations

from torch import Tensor, nn

from .blocks import Classifier, SqueezeExcite, conv_bn

#: kernel, expanded width, outputs, gate, hard swish, stride.
_PLAN = (
    (3, 16, 16, False, False, 1),
    (3, 64, 24, False, False, 2),
    (3, 72, 24, False, False, 1),
    (5, 72, 40, True, False, 2),
    (5, 120, 40, True, False, 1),
    (5, 120, 40, True, False, 1),
    (3, 240, 80, False, True, 2),
    (3, 200, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 480, 112, True, True, 1),
    (3, 672, 112, True, True, 1),
    (5, 672, 160, True, True, 2),
    (5, 960, 160, True, True, 1),
    (5, 960, 160, True, True, 1),
)


def _by_eight(width: float) -> int:
    """The multiple of 8 that is nearest, but not more than a tenth below."""
    rounded = max(8, int(width + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * width else rounded


class _Block(nn.Module):
    def __init__(
        self, inputs: int, kernel: int, wide: int, outputs: int, gate: bool, hard: bool, stride: int
    ) -> None:
        super().__init__()
        act = nn.Hardswish if hard else nn.ReLU
        layers: list[nn.Module] = [] if wide == inputs else [conv_bn(inputs, wide, act=act)]
        layers.append(conv_bn(wide, wide, kernel, stride, groups=wide, act=act))
        if gate:
            layers.append(SqueezeExcite(wide, _by_eight(wide / 4), gate=nn.Hardsigmoid))
        self.body = nn.Sequential(*layers, conv_bn(wide, outputs, act=None))
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x) if self.residual else self.body(x)


def mobilenet_v3() -> nn.Module:
    """MobileNetV3-large with 1,000 classes."""
    layers: list[nn.Module] = [conv_bn(3, 16, 3, 2, act=nn.Hardswish)]
    channels = 16
    for kernel, wide, outputs, gate, hard, stride in _PLAN:
        layers.append(_Block(channels, kernel, wide, outputs, gate, hard, stride))
        channels = outputs
    layers.append(conv_bn(channels, 960, act=nn.Hardswish))
    return Classifier(nn.Sequential(*layers), 960, 1280, 1000, act=nn.Hardswish)
