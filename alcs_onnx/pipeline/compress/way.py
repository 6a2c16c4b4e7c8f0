"""How the steps of a compression are taken: with training data, or with pictures alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, Self

from alcs_onnx.fidelity import Fidelity
from alcs_onnx.graph import Model
from alcs_onnx.pipeline.compress.state import Compressed
from alcs_onnx.structures import Structure
from alcs_onnx.types import (
    BoolArray,
    Codebook,
    ConvLayer,
    InitializerName,
    LayerName,
    WeightMask,
)


@dataclass(frozen=True, eq=False)
class Step:
    """A round of pruning.

    structure, counts: how many groups of each layer stay, of what is left of it.
    dead_biases: what is left of the biases, as masks by initializer, where so much of the weights
        stays.
    """

    structure: Structure
    counts: Mapping[LayerName, int]
    dead_biases: Callable[[Mapping[LayerName, WeightMask]], dict[InitializerName, BoolArray]]

    @property
    def purpose(self) -> str:
        """What it is, in words: what a checkpoint is of."""
        return f"{self.structure.name} {sorted(self.counts.items())}"


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
