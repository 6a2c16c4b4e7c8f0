"""What `profile` is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from alcs_onnx.pipeline.common.workload import Measuring
from alcs_onnx.types import Shape


@dataclass(frozen=True, kw_only=True)
class ProfileRequest:
    """A model whose latency table is measured, and the JSON file for it.

    method: the method of `optimize` that the table is for: one that removes groups of weights, or
        "channel".
    simd_group: output channels per SIMD group, for the method "simd".
    """

    model: Path
    output: Path
    method: str = "simd"
    input_shapes: Mapping[str, Shape] = field(default_factory=dict)
    fully_connected: bool = False
    simd_group: int = 4
    measuring: Measuring = field(default_factory=Measuring)
    seed: int = 0
