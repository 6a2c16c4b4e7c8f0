"""What `inspect` is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from alcs_onnx.errors import AlcsError
from alcs_onnx.input_settings import InputSettings
from alcs_onnx.pipeline.common.workload import Measuring

#: What can be looked at. The facts of the model itself are always there.
VIEWS = ("model", "coupling", "sparsity", "latency")


@dataclass(frozen=True, kw_only=True)
class InspectRequest:
    """A model file, which may be any ONNX file, and what to find out about it.

    view: one of `VIEWS`: the file and what `optimize` would do with each layer, its channel
        groups, its zeros, or its measured latency.
    everything: find out all that needs no measuring as well, as far as the model allows.
    simd_group: the group size in which zeros are counted and layers would be stored.
    curves: with the latency, measure each layer at 11 densities, too.
    table: a file of `profile` that has the curves already.
    measuring, seed: for the latency.
    """

    model: Path
    view: str = "model"
    everything: bool = False
    inputs: InputSettings = field(default_factory=InputSettings)
    fully_connected: bool = False
    simd_group: int = 4
    curves: bool = False
    table: Path | None = None
    measuring: Measuring = field(default_factory=Measuring)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.view not in VIEWS:
            raise AlcsError(f"view '{self.view}' is not known: use {', '.join(VIEWS)}")
        if self.view != "latency" and (self.curves or self.table is not None):
            raise AlcsError("curves are part of the view 'latency' only")
