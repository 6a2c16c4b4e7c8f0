"""From stored pixels to what the model was trained on, for a whole batch at once."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from alcs_onnx.errors import AlcsError

PRESETS = {
    "none": "",
    "imagenet": "mean=0.485:0.456:0.406,std=0.229:0.224:0.225",
    "tf": "scale=1/128,mean=127/128",
}


@dataclass(frozen=True)
class Preprocess:
    """Model input = (pixel * scale - mean) / std, per channel.

    `scale` None is 1/255 for uint8 pixels and 1 for floats. `mean` and `std` have one entry
    or one per channel, in the units after scaling. `layout` is that of the model's input:
    "NCHW", "NHWC", or "auto" to read it off the input's shape.
    """

    scale: float | None = None
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    layout: str = "auto"

    def __post_init__(self) -> None:
        if self.layout not in ("auto", "NCHW", "NHWC"):
            raise AlcsError(f"layout '{self.layout}' is not one of auto, NCHW, NHWC")
        values = (*self.mean, *self.std, 1.0 if self.scale is None else self.scale)
        if not all(math.isfinite(v) for v in values) or not all(self.std) or self.scale == 0:
            raise AlcsError("preprocessing needs finite numbers, and std and scale not zero")

    @classmethod
    def parse(cls, text: str) -> Preprocess:
        """Parse `scale=1/255,mean=0.485:0.456:0.406,std=0.229:0.224:0.225,layout=NCHW`.

        Every part may be left out; a number may be a fraction. Instead of parts the name of
        a preset: none, imagenet (pixels in [0, 1] less the usual mean), tf ((p - 127)/128).
        Raises `AlcsError` naming the part that is not understood.
        """
        parts: dict[str, str] = {}
        for part in filter(None, PRESETS.get(text.strip(), text).split(",")):
            key, _, value = part.partition("=")
            if key.strip() not in ("scale", "mean", "std", "layout") or not value:
                raise AlcsError(
                    f"preprocessing '{part}' is not understood: write "
                    "scale=1/255,mean=R:G:B,std=R:G:B,layout=NCHW or one of " + ", ".join(PRESETS)
                )
            parts[key.strip()] = value.strip()
        return cls(
            _number(parts["scale"]) if "scale" in parts else None,
            tuple(_number(v) for v in parts.get("mean", "0").split(":")),
            tuple(_number(v) for v in parts.get("std", "1").split(":")),
            parts.get("layout", "auto"),
        )

    def apply(self, pixels: Tensor) -> Tensor:
        """[N, C, H, W] pixels of any type → float32 [N, C, H, W], in the model's units."""
        scale = self.scale
        if scale is None:
            scale = 1.0 if pixels.is_floating_point() else 1 / 255
        mean = torch.tensor(self.mean, dtype=torch.float64).reshape(1, -1, 1, 1)
        std = torch.tensor(self.std, dtype=torch.float64).reshape(1, -1, 1, 1)
        factor, offset = (scale / std).float(), (-mean / std).float()
        return torch.addcmul(offset, pixels.float(), factor)

    def check_channels(self, channels: int) -> None:
        """Raise `AlcsError` unless mean and std fit `channels`."""
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, channels):
                raise AlcsError(
                    f"preprocessing has {len(values)} values of {name}, "
                    f"the model's input has {channels} channels"
                )


def _number(text: str) -> float:
    numerator, _, denominator = text.partition("/")
    try:
        return float(numerator) / float(denominator or 1)
    except (ValueError, ZeroDivisionError):
        raise AlcsError(f"'{text}' in the preprocessing is not a number") from None


@dataclass(frozen=True)
class Augment:
    """Random changes of training batches: horizontal flips, and crops after padding.

    `crop` is the padding in pixels on every side before an H×W window is cut at random.
    Padding is zero in the model's units, that is the mean.
    """

    flip: bool = False
    crop: int = 0

    @classmethod
    def parse(cls, text: str) -> Augment:
        """Parse `flip,crop=4`, or `none`; raises `AlcsError` for anything else."""
        flip, crop = False, 0
        for part in filter(None, (p.strip() for p in text.split(","))):
            key, _, value = part.partition("=")
            if key == "flip" and not value:
                flip = True
            elif key == "crop" and value.isdigit():
                crop = int(value)
            elif part != "none":
                raise AlcsError(f"augmentation '{part}' is not understood: write flip,crop=4")
        return cls(flip, crop)

    def apply(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Change [N, C, H, W] images, each in its own way, drawing from `generator`."""
        count, _, height, width = images.shape
        if self.flip:
            flipped = torch.rand(count, generator=generator) < 0.5
            images = torch.where(flipped.reshape(-1, 1, 1, 1), images.flip(3), images)
        if self.crop:
            size = 2 * self.crop + 1
            top = torch.randint(size, (count, 1), generator=generator)
            left = torch.randint(size, (count, 1), generator=generator)
            rows = (top + torch.arange(height)).reshape(count, 1, height, 1)
            columns = (left + torch.arange(width)).reshape(count, 1, 1, width)
            padded = functional.pad(images, [self.crop] * 4)
            channels = torch.arange(images.shape[1]).reshape(1, -1, 1, 1)
            images = padded[torch.arange(count).reshape(-1, 1, 1, 1), channels, rows, columns]
        return images
