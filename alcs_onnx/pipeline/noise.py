"""Signs that a measurement was disturbed."""

from __future__ import annotations

import os
from collections.abc import Sequence

from alcs_onnx.types import Machine, Timing

#: P90 / median above which a measurement counts as noisy.
_SPREAD = 1.1
#: Runnable processes per core above which the machine counts as busy.
_LOAD = 0.5


def noise_warnings(machine: Machine, timings: Sequence[Timing]) -> tuple[str, ...]:
    """One line for each sign of noise; `machine` is as it was before the timing."""
    warnings = []
    spread = max((t.p90 / t.median for t in timings if t.median > 0), default=1.0)
    if spread > _SPREAD:
        warnings.append(f"the times spread: P90 is {spread:.2f} times the median")
    if machine.governor not in ("performance", "unknown"):
        warnings.append(f"the CPU governor is {machine.governor}: performance gives steady times")
    cores = os.cpu_count() or 1
    if machine.load > _LOAD * cores:
        warnings.append(f"the machine was busy: load {machine.load:.2f} on {cores} cores")
    return tuple(warnings)
