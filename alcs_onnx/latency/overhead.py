"""What the runtime's profiler itself adds to the times it records, and taking it out again.

The durations of all nodes sum up to more than a run without the profiler takes: its own work
between the two clock readings, about two microseconds per node.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from statistics import median

import numpy as np

from alcs_onnx.target import ModelTimes, NodeTimes


def profiler_overhead(times: Collection[ModelTimes]) -> float:
    """What the profiler adds to the duration of each node (ms), the median over models.

    A constant per node cancels out in the estimate of a model, because tau is what the nodes
    leave over; it is removed so that the times of single layers can be believed.
    """
    excess = [
        (item.profile.total - float(np.median(item.wall))) / max(1, len(item.profile.nodes))
        for item in times
    ]
    return max(0.0, median(excess))


def without_overhead(times: ModelTimes) -> tuple[NodeTimes, float]:
    """The profile without what the profiler added to each node, and that (ms).

    The nodes of the result never take more than the median of the plain runs together: where the
    profile says more, the same time is taken from every node, all of it from those that took
    less, until they take exactly that. Where it says less, nothing is taken away.
    """
    profile = times.profile
    overhead = _level(list(profile.nodes.values()), float(np.median(times.wall)))
    nodes = {name: max(ms - overhead, 0.0) for name, ms in profile.nodes.items()}
    return replace(profile, nodes=nodes), overhead


def _level(durations: list[float], total: float) -> float:
    """The least x >= 0 for which the sum of max(duration - x, 0) is at most `total`.

    There are no durations where the runtime has folded all nodes away.
    """
    longest = sorted(durations, reverse=True)
    sums = np.cumsum(longest)
    for count, (together, following) in enumerate(
        zip(sums, [*longest[1:], 0.0], strict=False), start=1
    ):
        level = (float(together) - total) / count
        if level >= following:
            return level
    return 0.0
