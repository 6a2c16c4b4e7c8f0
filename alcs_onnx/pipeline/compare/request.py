"""What `compare` is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from alcs_onnx.input_settings import InputSettings

#: Relative difference up to which values are taken as the same.
TOLERANCE = 1e-3


@dataclass(frozen=True, kw_only=True)
class CompareRequest:
    """Two models, `a` the reference, and the inputs that they are run on.

    data: a folder of images, an .npz file or `module:function`, whose test samples are used;
        None: reproducible random inputs.
    preprocess: what happens to the pixels of `data`.
    samples: how many of them; None: all, or 8 random inputs.
    tolerance: relative difference up to which values are taken as the same.
    """

    a: Path
    b: Path
    data: str | None = None
    preprocess: str = "none"
    samples: int | None = None
    tolerance: float = TOLERANCE
    inputs: InputSettings = field(default_factory=InputSettings)
    threads: int = 1
    seed: int = 0
