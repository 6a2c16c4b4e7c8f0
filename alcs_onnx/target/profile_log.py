"""Reads the JSON that ONNX Runtime's profiler writes."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from alcs_onnx.errors import TargetError
from alcs_onnx.target.base import NodeTimes, TensorType

_NODE_SUFFIX = "_kernel_time"
#: Share of the runs dropped at each end: interrupted runs are longer by milliseconds, and
#: a median would round to the whole microseconds in which the runtime counts.
_TRIM = 0.25


def read_profile(path: Path, turns: Sequence[int]) -> NodeTimes:
    """Durations of the nodes over the runs that matter.

    `turns` are the lengths of the run sequences in the order they happened: unrecorded
    (negative) or recorded (positive). Nodes that run several times count by the sum. Those
    in the body of another (If, Loop) are part of its time and have none of their own.
    Raises `TargetError` if the file is not a profile of that many runs.
    """
    try:
        events = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise TargetError(f"the runtime's profile cannot be read: {error}") from error
    nodes = _outermost(events)
    names, op_types, durations = _node_matrix(events, nodes)
    reads, writes = (
        _first_tensors(nodes, op_types, f"{side}_type_shape") for side in ("input", "output")
    )
    runs = sum(abs(turn) for turn in turns)
    if durations.shape[0] != runs:
        raise TargetError(
            f"the runtime's profile has {durations.shape[0]} runs instead of {runs}: "
            "too many nodes for that many runs, use fewer iterations"
        )
    recorded = np.concatenate([np.full(abs(turn), turn > 0) for turn in turns])
    means = _trimmed_mean(durations[recorded]) / 1e3
    return NodeTimes(dict(zip(names, means.tolist(), strict=True)), op_types, reads, writes)


def _node_matrix(
    events: Sequence[dict[str, Any]], nodes: Sequence[dict[str, Any]]
) -> tuple[list[str], dict[str, str], npt.NDArray[np.float64]]:
    """Node names, their operators, and durations in microseconds [runs, nodes]."""
    runs = sorted(
        (float(event["ts"]), float(event["ts"]) + float(event["dur"]))
        for event in events
        if event.get("name") == "model_run"
    )
    starts = np.array([start for start, _ in runs])
    index: dict[str, int] = {}
    op_types: dict[str, str] = {}
    cells: list[tuple[int, int, float]] = []
    for event in nodes:
        name = _node_name(event)
        run = int(np.searchsorted(starts, float(event["ts"]), side="right")) - 1
        if run < 0:  # constant folding while the session was created
            continue
        op_types.setdefault(name, str(event.get("args", {}).get("op_name", "")))
        cells.append((run, index.setdefault(name, len(index)), float(event["dur"])))
    matrix = np.zeros((len(runs), len(index)))
    if cells:
        rows, columns, values = zip(*cells, strict=True)
        np.add.at(matrix, (np.array(rows), np.array(columns)), np.array(values))
    return list(index), op_types, matrix


def _first_tensors(
    events: Sequence[dict[str, Any]], names: Collection[str], field: str
) -> dict[str, TensorType]:
    """The first tensor of each of the nodes in `field`: a list of `{element type: shape}`."""
    found: dict[str, TensorType] = {}
    for event in events:
        name, tensors = _node_name(event), event.get("args", {}).get(field)
        if tensors and name in names and name not in found:
            ((element, shape),) = tensors[0].items()
            found[name] = TensorType(str(element), tuple(shape))
    return found


def _node_name(event: dict[str, Any]) -> str:
    return str(event["name"]).removesuffix(_NODE_SUFFIX)


def _outermost(events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events of nodes that are not in the body of another node, in order.

    The runtime writes an event when its node ends: a node with a body comes after those in it,
    and started before they ended.
    """
    found = []
    next_start = float("inf")
    for event in reversed(events):
        if event.get("cat") != "Node" or not str(event.get("name", "")).endswith(_NODE_SUFFIX):
            continue
        start = float(event["ts"])
        if start + float(event["dur"]) <= next_start:
            found.append(event)
        next_start = min(next_start, start)
    return found[::-1]


def _trimmed_mean(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Mean over axis 0 without the `_TRIM` smallest and largest values of each column."""
    drop = int(len(rows) * _TRIM)
    kept = np.sort(rows, axis=0)[drop : len(rows) - drop]
    return np.asarray(kept.mean(axis=0))
