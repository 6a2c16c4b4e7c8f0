"""How the steps of a compression are taken: with training data, or with pictures alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, Self

from alcs_onnx.fidelity import Fidelity
from alcs_onnx.graph import Model
from alcs_onnx.pipeline.compress.state import Compressed
from alcs_onnx.types import (
    BoolArray,
    Codebook,
    ConvLayer,
    FloatArray,
    InitializerName,
    LayerName,
    WeightMask,
)


@dataclass(frozen=True, eq=False)
class Step:
    """A round of pruning.

    purpose: what it is, in words, with its counts: what a checkpoint is of.
    largest: the projection: what stays of a layer, by name, for weights in its weight's shape.
    dead_biases: the biases that go with what is removed, as masks by initializer.
    """

    purpose: str
    largest: Callable[[LayerName, FloatArray], WeightMask]
    dead_biases: Callable[[Mapping[LayerName, WeightMask]], dict[InitializerName, BoolArray]]


class Way(Protocol):
    """What takes a state to the next; its accuracy is measured afterwards.

    `layers` are those of the dense `model` that take part, by name.
    """

    @property
    def source(self) -> str:
        """What samples it is taken with."""
        ...

    @property
    def settings(self) -> Mapping[str, object]:
        """What it was set to, by name."""
        ...

    def begun(self) -> Self:
        """This, ready for the first step of a run."""
        ...

    def measured(self, model: Model) -> tuple[float, str]:
        """What is left of the network, in [0, 1], and of what, in words."""
        ...

    def written(self, model: Model, fidelity: Fidelity) -> float | None:
        """The same of a written model, which was judged already; None where it cannot be had."""
        ...

    def pruned(
        self, model: Model, layers: Mapping[LayerName, ConvLayer], state: Compressed, step: Step
    ) -> Compressed:
        """Within what `state` has left."""
        ...

    def quantized(
        self,
        model: Model,
        layers: Mapping[LayerName, ConvLayer],
        state: Compressed,
        levels: Codebook,
        *,
        per_channel: bool,
    ) -> Compressed:
        """Zeros stay zeros."""
        ...
