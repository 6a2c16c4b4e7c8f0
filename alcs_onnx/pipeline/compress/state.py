"""What a model is between two steps of its compression, and what is told of a step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from alcs_onnx.pipeline.compress.result import Epochs
from alcs_onnx.types import (
    BoolArray,
    FloatArray,
    InitializerName,
    LayerName,
    QuantizedWeight,
    WeightMask,
)


@dataclass(frozen=True)
class Compressed:
    """A model on its way: what it weighs and how well it does.

    `weights` are empty at the start; `keep` are the weights that are left, and `vectors` what is
    left of the biases that went with their filters. `accuracy` is what is left of the network on
    samples that judge, in [0, 1], and `measure` says of what. `epochs` are the records of the step
    that led here, and `errors` those of the outputs of layers that it refitted, before and after.
    """

    accuracy: float
    measure: str
    weights: Mapping[InitializerName, FloatArray] = field(default_factory=dict)
    keep: Mapping[LayerName, WeightMask] = field(default_factory=dict)
    quantized: Mapping[LayerName, QuantizedWeight] = field(default_factory=dict)
    vectors: Mapping[InitializerName, BoolArray] = field(default_factory=dict)
    epochs: Epochs = ()
    errors: Mapping[LayerName, tuple[float, float]] = field(default_factory=dict)

    @property
    def kept(self) -> int:
        """Weights left in the layers that were pruned."""
        return sum(int(mask.sum()) for mask in self.keep.values())


@dataclass(frozen=True)
class Trial:
    """One step: what was asked for, what came of it, and whether it was taken.

    `epochs` are those of its training.
    """

    step: str
    kept: int
    accuracy: float
    accepted: bool
    epochs: Epochs = ()

    @classmethod
    def of(cls, step: str, found: Compressed, accepted: bool = True) -> Trial:
        """The trial that led to `found`."""
        return cls(step, found.kept, found.accuracy, accepted, found.epochs)
