"""What image files look like before they are brought into a model's shape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from alcs_onnx.types import BoolArray

#: Sizes or modes that are listed; the others are counted.
_LISTED = 3
_MODES = {
    "1": "black and white",
    "L": "grey",
    "LA": "grey with transparency",
    "P": "palette",
    "RGBA": "RGB with transparency",
    "I;16": "grey of 16 bits",
    "I": "grey of 32 bits",
    "F": "grey in floats",
}


@dataclass(frozen=True)
class Look:
    """`size` is width and height in pixels, `mode` Pillow's word for its colours."""

    name: str
    size: tuple[int, int]
    mode: str
    animated: bool
    constant: bool


def constant_pictures(pixels: npt.NDArray[Any]) -> BoolArray:
    """Which of the pictures [N, C, ...] have the same pixel throughout."""
    channels = pixels.reshape(*pixels.shape[:2], -1)
    constant: BoolArray = (channels == channels[:, :, :1]).all(axis=(1, 2))
    return np.asarray(constant)


def look_notes(looks: Sequence[Look], size: tuple[int, int], mode: str) -> tuple[str, ...]:
    """What is done to pictures to be of `size` (width, height) and `mode`."""
    notes = []
    resized = [look.size for look in looks if look.size != size]
    if resized:
        sizes = _listed((f"{w}x{h}" for w, h in resized), "size")
        notes.append(
            f"{_some(len(resized), looks)} resized and cropped to {size[0]}x{size[1]}: from {sizes}"
        )
    converted = [look.mode for look in looks if look.mode != mode]
    if converted:
        modes = _listed((_MODES.get(other, other) for other in converted), "mode")
        told = _MODES.get(mode, mode)
        notes.append(f"{_some(len(converted), looks)} converted to {told}: {modes}")
    animated = [look.name for look in looks if look.animated]
    if animated:
        notes.append(
            f"{_some(len(animated), looks)} animated, and the first frame taken: '{animated[0]}'"
            + (" and others" if len(animated) > 1 else "")
        )
    return tuple(notes)


def _some(count: int, looks: Sequence[Look]) -> str:
    return f"{count} of {len(looks)} pictures {'is' if count == 1 else 'are'}"


def _listed(values: Iterable[str], what: str) -> str:
    """The most frequent values with their numbers."""
    counts = Counter(values).most_common()
    listed = ", ".join(f"{value} ({count})" for value, count in counts[:_LISTED])
    left = len(counts) - _LISTED
    return listed + (f" and {left} other {what}{'s' * (left > 1)}" if left > 0 else "")
