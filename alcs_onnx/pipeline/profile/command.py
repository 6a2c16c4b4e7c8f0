"""`profile`: measure the latency table of a model, of its layers or channels, and save it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from alcs_onnx import latency
from alcs_onnx.errors import AlcsError
from alcs_onnx.files import check_writable
from alcs_onnx.pipeline.common.tables import contributions, coupling_of, measure_table
from alcs_onnx.pipeline.common.workload import Measuring, Note, open_workload
from alcs_onnx.pipeline.optimize.methods import GROUP_METHODS
from alcs_onnx.types import ChannelTable, LatencyTable, Shape


def profile(
    model: str | Path,
    output: str | Path,
    *,
    input_shapes: Mapping[str, Shape] | None = None,
    method: str = "simd",
    fully_connected: bool = False,
    simd_group: int = 4,
    measuring: Measuring | None = None,
    seed: int = 0,
    progress: latency.Progress | None = None,
    on_note: Note | None = None,
) -> LatencyTable:
    """Measure the latency table of the model file `model` and save it as JSON at `output`.

    `method` is the one of `optimize` that the table is for, of those that remove groups of
    weights. Raises a child of `AlcsError` for a bad model, target or output path.
    """
    if method not in GROUP_METHODS:
        raise AlcsError(f"method '{method}' has no latency table: use {', '.join(GROUP_METHODS)}")
    check_writable(Path(output), Path(model))
    workload = open_workload(
        Path(model),
        input_shapes=input_shapes or {},
        fully_connected=fully_connected,
        simd_group=simd_group,
        measuring=measuring or Measuring(),
        seed=seed,
        on_note=on_note or (lambda text: None),
        structure=method,
    )
    table = measure_table(workload, progress)
    latency.save_table(table, Path(output))
    return table


def profile_channels(
    model: str | Path,
    output: str | Path,
    *,
    input_shapes: Mapping[str, Shape] | None = None,
    fully_connected: bool = False,
    measuring: Measuring | None = None,
    seed: int = 0,
    progress: latency.Progress | None = None,
    on_note: Note | None = None,
) -> ChannelTable:
    """The same for the channel groups of the model (`latency.measure_contributions`)."""
    check_writable(Path(output), Path(model))
    workload = open_workload(
        Path(model),
        input_shapes=input_shapes or {},
        fully_connected=fully_connected,
        simd_group=1,
        measuring=measuring or Measuring(),
        seed=seed,
        on_note=on_note or (lambda text: None),
    )
    table = contributions(workload, coupling_of(workload.model), "measured", progress)
    latency.save_table(table, Path(output))
    return table
