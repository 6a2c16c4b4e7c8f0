"""Measured times in terms of the file's nodes."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite

from alcs_onnx.latency import break_down
from alcs_onnx.pipeline.inspect.result import CurveFacts, LatencyFacts, NodeLatency
from alcs_onnx.pipeline.inspect.subject import Subject
from alcs_onnx.target import ModelTimes
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
    found = break_down(subject.file.model, times)
    return LatencyFacts(
        machine=machine,
        timing=Timing.from_samples(times.wall),
        nodes=tuple(
            NodeLatency(
                node=run.node,
                ms=run.ms,
                share=found.share(run.ms),
                ran_as=run.ran_as,
                into=run.into,
            )
            for run in found.nodes
        ),
        rest_ms=found.rest_ms,
        curves=() if table is None else _curves(table, table.left_alone),
        structure=structure if table is None else table.structure,
        simd_group=simd_group if table is None else table.simd_group,
        warnings=warnings,
        overhead_ms=found.overhead_ms,
    )


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
