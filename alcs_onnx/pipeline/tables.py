"""The latency tables of a run: given as a file, kept in a folder from before, or measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from alcs_onnx import latency
from alcs_onnx.coupling import Coupling
from alcs_onnx.errors import AlcsError
from alcs_onnx.files import make_folder
from alcs_onnx.pipeline.channels import contributions
from alcs_onnx.pipeline.profiling import measure_table
from alcs_onnx.pipeline.scene import Scene
from alcs_onnx.types import ChannelTable, LatencyTable, Timing

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

    def of_layers(
        self,
        scene: Scene,
        progress: latency.Progress | None,
        dense: Callable[[], Timing] | None = None,
    ) -> LatencyTable:
        """The table of the scene's model, structure and group size.

        `dense` measures the dense latency where that is of another model than the scene's.
        Raises `AlcsError` for a table of another model, machine, structure or group size.
        """

        def measure() -> LatencyTable:
            table = measure_table(scene, progress)
            return table if dense is None else replace(table, dense=dense())

        sized = f"{scene.structure}{scene.simd_group}"
        name = sized if scene.structure == "simd" else scene.structure
        path, table = self._find(scene, name, latency.load_table, measure)
        if table.structure != scene.structure:
            raise AlcsError(
                f"{path}: measured for --method {table.structure}, not {scene.structure}"
            )
        if scene.structure == "simd" and table.simd_group != scene.simd_group:
            raise AlcsError(
                f"{path}: measured with groups of {table.simd_group}, not "
                f"{scene.simd_group}: use --group-size {table.simd_group} or measure again"
            )
        return table

    def of_channels(
        self, scene: Scene, coupling: Coupling, how: str, progress: latency.Progress | None
    ) -> ChannelTable:
        """The table of the channel groups; `how` is that of `contributions`.

        Raises `AlcsError` for a table of another model, machine or version.
        """
        _, table = self._find(
            scene,
            f"channel-{how}",
            latency.load_channel_table,
            lambda: contributions(scene, coupling, how, progress),
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
        scene: Scene,
        name: str,
        load: Callable[..., _Table],
        measure: Callable[[], _Table],
    ) -> tuple[Path | None, _Table]:
        """The table and its file, where it has one."""
        path = self.given
        if path is None and self.folder is not None:
            # A hybrid run has a table of what the channels left, besides that of the model.
            path = self.folder / f"{name}-{scene.model.digest[:12]}.table.json"
            if not (self.reuse and path.is_file()):
                make_folder(self.folder)
                table = measure()
                latency.save_table(table, path)
                return path, table
        if path is None:
            return None, measure()
        machine = scene.target.machine(scene.measuring.threads)
        return path, load(path, scene.model.digest, machine)
