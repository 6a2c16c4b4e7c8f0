"""The training side of a run: data, schedule, and the accuracies measured on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from alcs_onnx.graph import Model, conv_layers
from alcs_onnx.pipeline.common.results import Accuracy
from alcs_onnx.pipeline.common.workload import Note, Workload
from alcs_onnx.types import BoolArray, FloatArray

if TYPE_CHECKING:
    from alcs_onnx.train import Data, Evaluation, TrainConfig, TrainHistory


class Progress(Protocol):
    """What `optimize` reports to: stages of measuring, and epochs of training."""

    def stage(self, name: str, share: float) -> None:
        """The share of a stage that is done, in [0, 1]."""
        ...

    def start(self, title: str, total: int | None) -> None:
        """An epoch of `total` batches begins."""
        ...

    def advance(self, loss: float) -> None:
        """A batch is done."""
        ...

    def finish(self, line: str) -> None:
        """The epoch is done; `line` sums it up."""
        ...


@dataclass(frozen=True)
class Training:
    """Data and schedule of the training stages, and where they are saved on the way.

    `data` is a folder of images, an .npz file or `module:function`. `preprocess` and
    `augment` are texts that `alcs_onnx.train.Preprocess` and `Augment` parse, and `config`
    holds fields of `alcs_onnx.train.TrainConfig` that differ from their defaults: plain
    values, so that torch is needed only where something is trained.
    """

    data: str
    preprocess: str = "none"
    augment: str = "none"
    config: Mapping[str, Any] = field(default_factory=dict)
    checkpoint: Path | None = None
    resume: bool = False


class Trainer:
    """The training side of a run: data, schedule, and the accuracies measured so far."""

    def __init__(
        self,
        workload: Workload,
        training: Training,
        seed: int,
        progress: Progress | None,
        note: Note,
    ) -> None:
        from alcs_onnx import train

        self.train = train
        self.workload, self.training, self.progress = workload, training, progress
        self.config: TrainConfig = train.TrainConfig(**{"seed": seed, **training.config})
        options = train.DataOptions(
            preprocess=train.Preprocess.parse(training.preprocess),
            augment=train.Augment.parse(training.augment),
            seed=seed,
        )
        self.data: Data = train.load_data(training.data, workload.model, options)
        for text in (*self.data.notes, train.limited_rho(self.config)):
            if text:
                note(text)
        train.verify(workload.model, seed=seed)
        self.stages: dict[str, float] = {}
        self.kind, self.samples = "", 0
        self.history: list[Mapping[str, float | str]] = []

    def evaluate(
        self, stage: str, weights: Mapping[str, FloatArray] | None, model: Model | None = None
    ) -> None:
        """Measure `model` (default: the loaded one) with `weights` on the test samples."""
        if self.data.test is not None:
            self.stages[stage] = 100 * self.measure(weights, model)

    def measure(
        self, weights: Mapping[str, FloatArray] | None, model: Model | None = None
    ) -> float:
        """The metric of `model` (default: the loaded one) with `weights`, in [0, 1].

        Raises `DataError` where there are no test samples.
        """
        found: Evaluation = self.train.evaluate(
            model or self.workload.model,
            self.data,
            weights,
            self.config,
            teacher=self.workload.model,
        )
        self.kind, self.samples = found.kind, found.samples
        return found.value

    def repair(self, masks: Mapping[str, BoolArray]) -> Model:
        """The loaded model with masked weights, its activations brought back into range.

        `masks` are by layer, in the shape of the weights.
        """
        layers = {layer.name: layer.weight for layer in conv_layers(self.workload.model)}
        config = replace(self.config, finetune_epochs=0)
        result = self.train.finetune(self.workload.model, None, masks, layers, self.data, config)
        return self.workload.model.with_initializers(result.weights)

    def finetune(self, model: Model, budget: str) -> Model:
        """`model`, whose channels have been removed, trained with all weights it has left."""
        result = self.train.finetune(
            model, None, {}, {}, self.data, self.config, **self.common(budget)
        )
        self.remember(result.history)
        self.evaluate("fine-tuned", result.weights, model)
        return model.with_initializers(result.weights)

    def gradients(self) -> Mapping[str, FloatArray]:
        """Mean gradients of the loss of the loaded model, by initializer."""
        found: Mapping[str, FloatArray] = self.train.mean_gradients(
            self.workload.model, self.data, self.config
        )
        return found

    def common(self, purpose: str) -> dict[str, Any]:
        """Arguments that the stages of training share; `purpose` is what the budget or step is."""
        return {
            "progress": self.progress,
            "checkpoint": self.training.checkpoint,
            "resume": self.training.resume,
            "fingerprint": f"{purpose} {self.training.data}",
            "teacher": self.workload.model,
        }

    def remember(self, history: Any) -> None:
        """Keep the records of a stage for the report."""
        self.history += epochs_of(history)

    def accuracy(self) -> Accuracy | None:
        """What was measured, for the report."""
        return Accuracy(self.kind, self.samples, dict(self.stages)) if self.stages else None


def epochs_of(history: TrainHistory) -> tuple[Mapping[str, Any], ...]:
    """The records of some stages as plain values, for results that are saved."""
    return tuple(asdict(record) for record in history.records)
