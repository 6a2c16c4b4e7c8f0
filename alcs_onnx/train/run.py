"""What the stages of a training run share, and what each of them starts from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from alcs_onnx.data import Data
from alcs_onnx.errors import AlcsError
from alcs_onnx.graph import Model
from alcs_onnx.reporter import SILENT, Reporter
from alcs_onnx.train.config import TrainConfig
from alcs_onnx.types import BoolArray, FloatArray, InitializerName, LayerName, WeightMask


@dataclass(frozen=True, eq=False)
class TrainRun:
    """What the stages of a run share.

    `teacher` is the model that teaches where the data or the settings ask for it; None stands
    for the trained model as it is.

    `checkpoint` is a folder that gets a stage's state after each of its epochs; with `resume`
    the stage goes on from there, to the very result of an uninterrupted one, and is refused if
    the state is of another model, other settings or another `fingerprint` (the caller's words
    for budget and data).
    """

    data: Data
    config: TrainConfig = field(default_factory=TrainConfig)
    reporter: Reporter = SILENT
    teacher: Model | None = None
    checkpoint: Path | None = None
    resume: bool = False
    fingerprint: str = ""


@dataclass(frozen=True, eq=False)
class Start:
    """What a stage starts from: weights, and what of them is removed and stays so.

    `weights` take the place of the model's own. Where the weight mask `keep[layer]` is False
    the weight is set to and stays exactly zero; `keep_vectors` does the same for other
    initializers, by their own names: the biases of removed filters.
    """

    weights: Mapping[InitializerName, FloatArray] = field(default_factory=dict)
    keep: Mapping[LayerName, WeightMask] = field(default_factory=dict)
    keep_vectors: Mapping[InitializerName, BoolArray] = field(default_factory=dict)

    def masks(self, prunable: Mapping[LayerName, InitializerName]) -> dict[str, BoolArray]:
        """All masks by initializer; raises `AlcsError` for a layer that is not prunable."""
        check_layers(self.keep, prunable, "a mask")
        return {**{prunable[layer]: mask for layer, mask in self.keep.items()}, **self.keep_vectors}


#: The model's own weights, with nothing removed.
AS_IT_IS = Start()


def check_layers(
    given: Mapping[LayerName, object], prunable: Mapping[LayerName, InitializerName], what: str
) -> None:
    """Raise `AlcsError` where `what` is given for a layer that is not prunable."""
    unknown = set(given) - set(prunable)
    if unknown:
        raise AlcsError(f"there is {what} for '{min(unknown)}', which is no prunable layer")
