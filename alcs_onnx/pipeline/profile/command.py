"""`profile`: measure the latency table of a model, of its layers or channels, and save it."""

from __future__ import annotations

from alcs_onnx import latency
from alcs_onnx.errors import AlcsError
from alcs_onnx.files import check_writable
from alcs_onnx.pipeline.common.tables import contributions, coupling_of, measure_table
from alcs_onnx.pipeline.common.workload import open_workload
from alcs_onnx.pipeline.optimize.methods import GROUP_METHODS, structure_of
from alcs_onnx.pipeline.profile.request import ProfileRequest
from alcs_onnx.reporter import SILENT, Reporter
from alcs_onnx.structures import STRUCTURES
from alcs_onnx.types import ChannelTable, LatencyTable

#: The methods that have a table of their own.
PROFILED = (*GROUP_METHODS, "channel")


def profile(request: ProfileRequest, reporter: Reporter = SILENT) -> LatencyTable | ChannelTable:
    """Measure the latency table of the model of `request` and save it as JSON.

    Of its layers for a method that removes groups of weights, of its channel groups
    (`latency.measure_contributions`) for "channel". Raises a child of `AlcsError` for a bad
    model, target or output path.
    """
    method = request.method
    if method not in PROFILED:
        raise AlcsError(f"method '{method}' has no latency table: use {', '.join(PROFILED)}")
    check_writable(request.output, request.model)
    workload = open_workload(
        request.model,
        inputs=request.inputs,
        fully_connected=request.fully_connected,
        simd_group=request.simd_group,
        measuring=request.measuring,
        seed=request.seed,
        reporter=reporter,
        structure=structure_of(method) or STRUCTURES.default,
    )
    table: LatencyTable | ChannelTable
    if method == "channel":
        table = contributions(workload, coupling_of(workload.model), "measured", reporter)
    else:
        table = measure_table(workload, reporter)
    latency.save_table(table, request.output)
    return table
