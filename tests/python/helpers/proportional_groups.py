"""Runs on a small network, and groups of its weights under a table that no machine decides."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from reporters import Recorder

from alcs_onnx import Measuring
from alcs_onnx.pipeline.common.evidence import Judging
from alcs_onnx.pipeline.common.tables import proportional_table
from alcs_onnx.pipeline.optimize import OptimizeRequest
from alcs_onnx.pipeline.optimize.groups import GroupPruning
from alcs_onnx.pipeline.optimize.run import Run, open_run
from alcs_onnx.types import Budget

QUICK = Measuring(warmup=1, iterations=3)


def opened(files: tuple[Path, Path], **settings: Any) -> Run:
    """SIMD groups at half of the latency, by the pictures, unless `settings` say otherwise."""
    request = {
        "model": files[0],
        "budget": Budget.parse("50%"),
        "method": "simd",
        "measuring": QUICK,
        "judging": Judging(pictures=str(files[1])),
        **settings,
    }
    return open_run(OptimizeRequest(**request), Recorder())


def groups(run: Run) -> GroupPruning:
    """As if a layer took as long as it has multiplications, whatever this machine does."""
    table = proportional_table(run.workload)
    macs = {layer.name: layer.macs / 1e6 for layer in run.workload.prunable}
    curves = tuple(
        replace(x, times=(0.0, macs[x.layer]), dense_time=macs[x.layer]) for x in table.curves
    )
    dense = replace(table.dense, median=sum(macs.values()))
    table = replace(table, curves=curves, tau=0.0, dense=dense)
    return GroupPruning.by_table(run, run.workload, table).refitting_for(run)
