"""From stored pixels to what the model was trained on, for a whole batch at once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from alcs_onnx.errors import AlcsError
from alcs_onnx.types import FloatArray

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

    def apply(self, pixels: npt.NDArray[Any]) -> FloatArray:
        """[N, C, H, W] pixels of any type → float32 [N, C, H, W], in the model's units."""
        scale = self.scale
        if scale is None:
            scale = 1.0 if pixels.dtype.kind == "f" else 1 / 255
        mean = np.array(self.mean, np.float64).reshape(1, -1, 1, 1)
        std = np.array(self.std, np.float64).reshape(1, -1, 1, 1)
        factor, offset = (scale / std).astype(np.float32), (-mean / std).astype(np.float32)
        # Converted on the way, and then in place: a second array would cost more than the sums.
        result: FloatArray = np.multiply(pixels, factor, dtype=np.float32, casting="same_kind")
        result += offset
        return result

    def fits(self, channels: int) -> bool:
        """Whether mean and std are for images of so many `channels`."""
        return all(len(values) in (1, channels) for values in (self.mean, self.std))

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
