"""Groups of weights under a table that no machine decides."""

from __future__ import annotations

from dataclasses import replace

from alcs_onnx.pipeline.common.tables import proportional_table
from alcs_onnx.pipeline.optimize.groups import GroupPruning
from alcs_onnx.pipeline.optimize.run import Run


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
