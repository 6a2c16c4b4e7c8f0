"""What `bench` is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from alcs_onnx.input_settings import InputSettings
from alcs_onnx.pipeline.common.workload import MIN_SECONDS, Measuring


@dataclass(frozen=True, kw_only=True)
class BenchRequest:
    """Models to time in turns, each on reproducible random inputs of its own shapes.

    measuring, min_seconds: every model runs `measuring.iterations` times or more, until
        `min_seconds` of runs have passed for each on average.
    percentiles: in (0, 100], counted besides those that are always there.
    profile: whether each model then runs again, timed node by node.
    """

    models: tuple[Path, ...]
    inputs: InputSettings = field(default_factory=InputSettings)
    measuring: Measuring = field(default_factory=Measuring)
    min_seconds: float = MIN_SECONDS
    percentiles: tuple[float, ...] = ()
    profile: bool = False
    seed: int = 0
