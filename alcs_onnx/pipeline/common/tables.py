"""The latency tables of a run: given as a file, kept in a folder from before, or measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import isfinite, prod
from pathlib import Path
from typing import TypeVar

import numpy as np

from alcs_onnx import latency
from alcs_onnx.coupling import Coupling, analyse
from alcs_onnx.errors import AlcsError, UnsupportedError
from alcs_onnx.files import make_folder
from alcs_onnx.graph import Model, conv_layers, loadable
from alcs_onnx.latency.fused import dense_times
from alcs_onnx.pipeline.common.layers import grouped_reasons
from alcs_onnx.pipeline.common.workload import Workload
from alcs_onnx.reporter import SILENT, Reporter
from alcs_onnx.rewrite import shrink
from alcs_onnx.serialized import Serialized
from alcs_onnx.types import ChannelTable, LatencyTable, LayerCurve, Timing

_Table = TypeVar("_Table", LatencyTable, ChannelTable)


@dataclass(frozen=True)
class Tables:
    """Where the tables of a run come from.

    `given` is a file of `profile`, which is used and nothing else. Otherwise what is measured
    is kept in `folder`, if there is one, and with `reuse` what is there already is not measured
    again: a run that goes on then decides by the numbers it began with.
    """

    given: Path | None = None
    folder: Path | None = None
    reuse: bool = True
    reporter: Reporter = SILENT

    def of_layers(
        self,
        workload: Workload,
        dense: Callable[[], Timing] | None = None,
    ) -> LatencyTable:
        """The table of the workload's model, structure and group size.

        `dense` measures the dense latency where that is of another model than the workload's.
        Raises `AlcsError` for a table of another model, machine, structure or group size.
        """

        def measure() -> LatencyTable:
            table = measure_table(workload, self.reporter)
            return table if dense is None else replace(table, dense=dense())

        sized = workload.grouping.has_group_size
        name = workload.table_name
        path, table = self._find(workload, name, latency.load_table, measure)
        if table.structure != workload.structure:
            raise AlcsError(
                f"{path}: measured for --method {table.structure}, not {workload.structure}"
            )
        if sized and table.simd_group != workload.simd_group:
            raise AlcsError(
                f"{path}: measured with groups of {table.simd_group}, not "
                f"{workload.simd_group}: use --group-size {table.simd_group} or measure again"
            )
        return table

    def of_channels(self, workload: Workload, coupling: Coupling, how: str) -> ChannelTable:
        """The table of the channel groups; `how` is that of `contributions`.

        Raises `AlcsError` for a table of another model, machine or version.
        """
        _, table = self._find(
            workload,
            f"channel-{how}",
            latency.load_channel_table,
            lambda: contributions(workload, coupling, how, self.reporter),
        )
        known = {curve.group: curve.channels for curve in table.curves}
        for group in coupling.prunable:
            if known.get(group.name) != group.channels:
                raise AlcsError(
                    f"the channel latency table does not fit group '{group.name}' of "
                    f"{group.channels} channels: measure it again with this version"
                )
        return table

    def _find(
        self,
        workload: Workload,
        name: str,
        load: Callable[..., _Table],
        measure: Callable[[], _Table],
    ) -> tuple[Path | None, _Table]:
        """The table and its file, where it has one."""
        path = self.given
        if path is None and self.folder is not None:
            # A hybrid run has a table of what the channels left, besides that of the model.
            path = self.folder / f"{name}-{workload.model.digest[:12]}.table.json"
            if not (self.reuse and path.is_file()):
                make_folder(self.folder)
                table = measure()
                latency.save_table(table, path)
                return path, table
        if path is None:
            return None, measure()
        machine = workload.target.machine(workload.measuring.threads)
        return path, load(path, workload.model.digest, machine)


def measure_table(workload: Workload, reporter: Reporter) -> LatencyTable:
    """The latency table of the workload's model, for its own structure, group size and threads."""
    grouping, left = workload.grouping, workload.left_alone
    models = latency.SparseModels(
        workload.model,
        workload.random_sparse,
        workload.simd_group,
        workload.structure,
        groups={
            layer.name: prod(grouping.mask_shape(layer))
            for layer in workload.layers
            if layer.name not in left
        },
    )
    table = latency.profile(models, workload.runner, seed=workload.seed, reporter=reporter)
    return replace(table, left_alone={**table.left_alone, **left})


def proportional_table(workload: Workload) -> LatencyTable:
    """A table that flatters: every layer's time falls with its density, from the dense Conv's.

    Of one profile of the dense model alone.
    """
    model = workload.model
    times = workload.node_times([loadable(model.detached())])[0]
    found = dense_times(model, times.profile)
    dense = Timing.from_samples(times.wall)
    curves = tuple(
        LayerCurve(name, (0, prod(workload.grouping.mask_shape(layer))), (0.0, ms), ms)
        for layer in conv_layers(model)
        if isfinite(ms := found[name := layer.name])
    )
    return LatencyTable(
        model_digest=model.digest,
        simd_group=workload.simd_group,
        machine=workload.target.machine(workload.measuring.threads),
        tau=max(0.0, dense.median - sum(curve.dense_time for curve in curves)),
        dense=dense,
        curves=curves,
        structure=workload.structure,
    )


def contributions(
    workload: Workload, coupling: Coupling, how: str, reporter: Reporter
) -> ChannelTable:
    """The table of latency contributions of the workload's channel groups.

    Raises `AlcsError` for another `how` than "measured" and "predicted".
    """

    def build(kept: Mapping[str, int]) -> Serialized:
        masks = {
            name: np.arange(coupling.group(name).channels) < count for name, count in kept.items()
        }
        return loadable(shrink(workload.model, coupling, masks))

    models = latency.ReducedModels(workload.model, build, coupling.groups)
    if how == "measured":
        return latency.measure_contributions(models, workload.runner, reporter=reporter)
    if how != "predicted":
        raise AlcsError(f"contributions are measured or predicted, not '{how}'")
    times = workload.node_times([build({})], library=False)[0]
    return latency.predict_contributions(models, workload.runner, times, reporter=reporter)


def coupling_of(model: Model) -> Coupling:
    """The channel groups of `model`; raises `UnsupportedError` where none can lose a channel."""
    coupling = analyse(model)
    if not coupling.prunable:
        reasons = grouped_reasons(coupling.frozen.values(), "channel group")
        reasons = reasons or "no layer has constant weights"
        raise UnsupportedError(f"no channel of this model can be removed: {reasons}")
    return coupling
