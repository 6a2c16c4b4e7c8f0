"""Measured times in terms of the file's nodes."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite

from alcs_onnx.inspection.subject import Subject
from alcs_onnx.inspection.values import CurveFacts, LatencyFacts, NodeLatency
from alcs_onnx.latency import attribute, profiler_overhead
from alcs_onnx.target import ModelTimes, NodeTimes
from alcs_onnx.types import LatencyTable, Machine, Timing


def latency_facts(
    subject: Subject,
    machine: Machine,
    times: ModelTimes,
    *,
    table: LatencyTable | None = None,
    structure: str = "simd",
    simd_group: int = 4,
    warnings: tuple[str, ...] = (),
) -> LatencyFacts:
    """The file's own run, node by node, and the curves of `table` where there is one.

    `structure` and `simd_group` are what they are called without a table.
    """
    timing = Timing.from_samples(times.wall)
    runs = attribute(subject.file.model, _without_overhead(times))
    return LatencyFacts(
        machine=machine,
        timing=timing,
        nodes=tuple(
            NodeLatency(
                node=run.node,
                ms=run.ms,
                share=run.ms / timing.median if timing.median > 0 else 0.0,
                ran_as=run.ran_as,
                into=run.into,
            )
            for run in runs
        ),
        rest_ms=max(0.0, timing.median - sum(run.ms for run in runs)),
        curves=() if table is None else _curves(table, table.left_alone),
        structure=structure if table is None else table.structure,
        simd_group=simd_group if table is None else table.simd_group,
        warnings=warnings,
    )


def _without_overhead(times: ModelTimes) -> NodeTimes:
    """The profile without what the profiler itself adds to every node."""
    overhead = profiler_overhead([times])
    nodes = {name: max(ms - overhead, 0.0) for name, ms in times.profile.nodes.items()}
    return NodeTimes(nodes, times.profile.op_types)


def _curves(table: LatencyTable, left_alone: Mapping[str, str]) -> tuple[CurveFacts, ...]:
    return tuple(
        CurveFacts(
            layer=curve.layer,
            densities=tuple(count / curve.groups[-1] for count in curve.groups),
            times_ms=curve.times,
            conv_ms=curve.dense_time if isfinite(curve.dense_time) else None,
            left_alone=left_alone.get(curve.layer, ""),
        )
        for curve in table.curves
    )
