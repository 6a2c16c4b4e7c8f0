"""What every target offers: describe the machine, time models, time their nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from alcs_onnx.ort import Feeds, Samples
from alcs_onnx.reporter import SILENT, Reporter
from alcs_onnx.serialized import Serialized
from alcs_onnx.types import Machine


@dataclass(frozen=True)
class TensorType:
    """Element type, as the runtime calls it (`float`, `uint8`), and shape of a tensor that a node
    reads or writes."""

    element: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class NodeTimes:
    """What the runtime's profiler says about the nodes of one model.

    `nodes[name]` is the node's duration in ms: the mean over the recorded runs without
    the shortest and the longest quarter. `op_types[name]` is what ran, after the
    runtime's own fusions. The profiler counts whole microseconds and its own overhead of
    about two per node; see `alcs_onnx.latency.profile`. Nodes are in the order in which they ran.

    `reads[name]` is the first tensor that the node reads and `writes[name]` the first one that it
    writes, in the memory layout that the runtime has chosen; absent where the profile has none.
    """

    nodes: Mapping[str, float]
    op_types: Mapping[str, str]
    reads: Mapping[str, TensorType] = field(default_factory=dict)
    writes: Mapping[str, TensorType] = field(default_factory=dict)

    @property
    def total(self) -> float:
        """Sum over the nodes, in ms."""
        return sum(self.nodes.values())


@dataclass(frozen=True)
class ModelTimes:
    """One model timed twice in the same turns: node by node, and as a whole (ms)."""

    profile: NodeTimes
    wall: Samples


class Target(Protocol):
    """A machine on which ONNX models are run. Models are serialised ModelProtos.

    Every method raises `TargetError` if the machine, its runtime or its library is
    unsuitable, and `ModelError` if the runtime refuses a model. `feeds` are the inputs of
    every model, or one set per model; None means reproducible random ones. With `library`
    the custom-op library is registered.
    """

    def machine(self, threads: int = 1) -> Machine:
        """The machine as it is now."""
        ...

    def time(
        self,
        models: Sequence[Serialized],
        *,
        threads: int = 1,
        iterations: int = 50,
        warmup: int = 5,
        min_seconds: float = 0.0,
        feeds: Feeds | Sequence[Feeds] | None = None,
        library: bool = True,
        reporter: Reporter = SILENT,
    ) -> list[Samples]:
        """Run all models in turns; returns the duration of each recorded run (ms)."""
        ...

    def node_times(
        self,
        models: Sequence[Serialized],
        *,
        threads: int = 1,
        iterations: int = 50,
        warmup: int = 5,
        feeds: Feeds | None = None,
        library: bool = True,
        reporter: Reporter = SILENT,
    ) -> list[ModelTimes]:
        """As `time`, and node by node: profiled and plain runs alternate."""
        ...
