"""Signs that a measurement says more about the machine than about the models."""

from __future__ import annotations

import os
from collections.abc import Sequence
from math import isfinite

from alcs_onnx.types import Machine, Timing

#: P90 over the median from which a measurement counts as unsteady.
MAX_SPREAD = 1.1
#: Runnable processes per processor, before timing, from which a machine counts as busy.
MAX_LOAD = 0.5
_STEADY_GOVERNOR = "performance"
_UNKNOWN_GOVERNOR = "unknown"


def noise_warnings(
    machine: Machine, timings: Sequence[Timing], *, processors: int | None = None
) -> tuple[str, ...]:
    """Sentences about what made the timings unsteady or might have, each with what to do.

    `machine` has to be described before the timing starts, lest its load be that of the timing
    itself. `processors` are those of the machine, by default this one's. Empty where nothing
    looks wrong; what the system does not tell is not warned about.
    """
    found = []
    spread, index = max(((t.p90 / t.median, i) for i, t in enumerate(timings)), default=(1.0, 0))
    if spread > MAX_SPREAD:
        which = f" of model {index + 1} of {len(timings)}" if len(timings) > 1 else ""
        found.append(
            f"unsteady: P90{which} is {100 * (spread - 1):.0f} % above the median; close other "
            "programs, or measure longer"
        )
    if machine.governor not in (_STEADY_GOVERNOR, _UNKNOWN_GOVERNOR):
        found.append(
            f"the processor's frequency governor is '{machine.governor}', so its clock follows the "
            f"load; set '{_STEADY_GOVERNOR}' (cpupower frequency-set -g {_STEADY_GOVERNOR})"
        )
    processors = processors or os.cpu_count() or 1
    if isfinite(machine.load) and machine.load > MAX_LOAD * processors:
        found.append(
            f"the machine was busy before timing: load {machine.load:.2f} on {processors} "
            "processor(s); wait until it is idle, and measure again"
        )
    return tuple(found)
