"""What `profile` is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from alcs_onnx.input_settings import InputSettings
from alcs_onnx.pipeline.common.workload import Measuring


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
    inputs: InputSettings = field(default_factory=InputSettings)
    fully_connected: bool = False
    simd_group: int = 4
    measuring: Measuring = field(default_factory=Measuring)
    seed: int = 0
