"""Layers that the runtime's own Conv runs quicker than the sparse operator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import isfinite

import numpy as np

from alcs_onnx.pipeline.common.workload import Workload
from alcs_onnx.reporter import Reporter
from alcs_onnx.serialized import Serialized
from alcs_onnx.types import LatencyTable, PruningPlan

#: Makes the sparse file of a plan, with these layers (name -> reason) left to the runtime, too.
Build = Callable[[PruningPlan, Mapping[str, str]], Serialized]

#: A layer is tried as the runtime's own Conv when that was quicker by this factor, and the
#: change is kept when the whole model gains this fraction.
_SLOWER, _GAIN = 1.15, 0.02


def slower_layers(
    reporter: Reporter,
    workload: Workload,
    table: LatencyTable,
    plan: PruningPlan,
    excluded: Mapping[str, str],
    build: Build,
) -> dict[str, str]:
    """The layers of `plan` to leave to the runtime, with the reason: all that look slower, or none.

    Those are tried whose curve at the plan's density is above the time of the runtime's own Conv;
    whether it pays is decided by measuring the whole model both ways: a Conv among sparse nodes
    may cost a change of the memory layout on each side.
    """
    slower = _slower(table, plan, excluded)
    if not slower:
        return {}
    keep = {name: mask for name, mask in plan.keep.items() if name not in slower}
    built = [build(plan, {}), build(replace(plan, keep=keep), slower)]
    with_ours, with_theirs = workload.time(built)
    gain = 1 - float(np.median(with_theirs)) / float(np.median(with_ours))
    taken = gain >= _GAIN
    reporter.note(
        f"{len(slower)} layer{'s' if len(slower) > 1 else ''} measured slower than the runtime's "
        f"own Conv; as Conv {'they change' if len(slower) > 1 else 'it changes'} the whole model's "
        f"latency by {-100 * gain:+.1f} %, so "
        + ("the runtime keeps them" if taken else "the sparse operator keeps them")
    )
    return slower if taken else {}


def _slower(table: LatencyTable, plan: PruningPlan, excluded: Mapping[str, str]) -> dict[str, str]:
    """The layers whose curve is above the runtime's own Conv at the plan's density."""
    found = {}
    for curve in table.curves:
        if curve.layer in excluded or not isfinite(curve.dense_time):
            continue
        mask = plan.keep.get(curve.layer)
        stored = curve.groups[-1] if mask is None else int(mask.sum())
        ours = float(np.interp(stored, curve.groups, curve.times))
        if ours > _SLOWER * curve.dense_time:
            found[curve.layer] = (
                f"faster as the runtime's own Conv: {curve.dense_time:.3f} ms, ours {ours:.3f}"
            )
    return found
