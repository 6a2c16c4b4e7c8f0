"""The training side of a run: data, schedule, and the accuracies measured on the way.

Every step takes a value and returns another; nothing remembers what was done before. torch is
imported only where something is trained or evaluated.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from alcs_onnx.data import Data, DataOptions, Preprocess, load_data
from alcs_onnx.fidelity import Fidelity
from alcs_onnx.graph import Model, conv_layers
from alcs_onnx.pipeline.common.verification import Check
from alcs_onnx.pipeline.common.workload import Workload
from alcs_onnx.reporter import Reporter
from alcs_onnx.types import BoolArray, FloatArray

if TYPE_CHECKING:
    from alcs_onnx.train import Evaluation, TrainConfig, TrainHistory, TrainResult, TrainRun

Array = npt.NDArray[Any]

#: The records of epochs as plain values.
Epochs = tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Training:
    """Data and schedule of the training stages, and where they are saved on the way.

    `data` is a folder of images, an .npz file or `module:function`. `preprocess` and
    `augment` are texts that `alcs_onnx.data.Preprocess` and `alcs_onnx.train.Augment` parse, and
    `config` holds fields of `alcs_onnx.train.TrainConfig` that differ from their defaults: plain
    values, so that torch is needed only where something is trained.
    """

    data: str
    preprocess: str = "none"
    augment: str = "none"
    config: Mapping[str, Any] = field(default_factory=dict)
    checkpoint: Path | None = None
    resume: bool = False


@dataclass(frozen=True)
class Accuracy:
    """A share in percent at the stages it was measured: dense, one-shot, ADMM, final.

    `measure` says of what: top-1 on labelled test data, or agreement with the dense model.
    """

    measure: str
    samples: int
    stages: Mapping[str, float]


@dataclass(frozen=True)
class TrainingRecord:
    """What training has come to so far: accuracies of its stages, and its epochs."""

    accuracy: Accuracy | None = None
    history: Epochs = ()

    def evaluated(self, stage: str, found: Evaluation | None) -> TrainingRecord:
        """With the accuracy of one stage more; unchanged where there was nothing to evaluate on."""
        if found is None:
            return self
        stages = {} if self.accuracy is None else self.accuracy.stages
        told = Accuracy(found.kind, found.samples, {**stages, stage: 100 * found.value})
        return replace(self, accuracy=told)

    def deployed(self, value: float | None) -> TrainingRecord:
        """With the accuracy (in [0, 1]) of the written file in ONNX Runtime, where it has one."""
        if value is None or self.accuracy is None:
            return self
        stages = {**self.accuracy.stages, "final file in ONNX Runtime": 100 * value}
        return replace(self, accuracy=replace(self.accuracy, stages=stages))

    def judged(self, found: Fidelity) -> Fidelity:
        """`found` with the data's own metric in place of an accuracy, where it has one.

        It is that of the dense model, and as it was last measured, in torch.
        """
        if self.accuracy is None or self.accuracy.measure != "metric":
            return found
        values = [value / 100 for value in self.accuracy.stages.values()]
        return replace(
            found, measure=self.accuracy.measure, dense_accuracy=values[0], accuracy=values[-1]
        )

    def trained(self, history: TrainHistory) -> TrainingRecord:
        """With the epochs of one stage more."""
        return replace(self, history=(*self.history, *epochs_of(history)))


@dataclass(frozen=True, eq=False)
class Network:
    """A model as it is trained: what of it is removed and stays so.

    model: what training starts from.
    pruned: the same with what is removed gone or zero; after training, what came of it.
    prunable: layer -> initializer of its weight, of the layers that have weight masks.
    weight_masks: by layer, in the shape of the weight: False where it stays zero.
    bias_masks: likewise, by initializer, for biases that go with removed filters.
    check: of `pruned` against the masked model of full size, where channels are gone.
    refitted: whether what is left makes up for what is removed: its activations are in range.
    errors: by layer, where layers were refitted: the relative squared error of its outputs before
        and after.
    history: the epochs that it has been trained for already.
    """

    model: Model
    pruned: Model
    prunable: Mapping[str, str] = field(default_factory=dict)
    weight_masks: Mapping[str, BoolArray] = field(default_factory=dict)
    bias_masks: Mapping[str, BoolArray] = field(default_factory=dict)
    check: Check | None = None
    refitted: bool = False
    errors: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    history: Epochs = ()

    def trained(self, found: TrainResult) -> Network:
        """With the weights that came of training in what is written."""
        return replace(
            self,
            pruned=self.model.with_initializers(found.weights),
            history=(*self.history, *epochs_of(found.history)),
        )

    def by_layer(self, weights: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """Weights by initializer as those of the prunable layers, by layer."""
        return {layer: weights[initializer] for layer, initializer in self.prunable.items()}


@dataclass(frozen=True, eq=False)
class Trainer:
    """Data and schedule for one dense model, which teaches where labels are missing."""

    dense: Model
    training: Training
    data: Data
    config: TrainConfig
    reporter: Reporter

    def evaluate(
        self, model: Model, weights: Mapping[str, FloatArray] | None = None
    ) -> Evaluation | None:
        """`model` with `weights`, by initializer, on the test samples; None without any."""
        return None if self.data.test is None else self.measure(model, weights)

    def measure(self, model: Model, weights: Mapping[str, FloatArray] | None = None) -> Evaluation:
        """The same; raises `DataError` where there are no test samples."""
        from alcs_onnx import train

        return train.evaluate(model, self.data, weights, self.config, teacher=self.dense)

    def admm(
        self,
        network: Network,
        project: Callable[[Mapping[str, FloatArray]], tuple[Mapping[str, BoolArray], float]],
        purpose: str,
    ) -> TrainResult:
        """ADMM of the network's prunable layers towards `project` (ALCS Algorithm 2).

        `project` gives weight masks by layer for weights by layer, and their estimated latency.
        """
        from alcs_onnx import train

        return train.admm(
            network.model,
            network.prunable,
            lambda weights: train.Projection(*project(weights)),
            self.run(purpose),
        )

    def finetune(
        self,
        network: Network,
        weights: Mapping[str, FloatArray] | None,
        purpose: str,
        stage: str = "finetune",
    ) -> TrainResult:
        """Masked retraining of `network`, from `weights` by initializer (default: its own).

        Weights that were refitted to the dense model's outputs are not recalibrated to their
        moments: least squares make them smaller where what is left cannot tell.
        """
        from alcs_onnx import train

        run = self.run(purpose)
        if network.refitted and weights is None:
            run = replace(run, config=replace(run.config, recalibrate=False))
        start = train.Start(weights or {}, network.weight_masks, network.bias_masks)
        return train.finetune(network.model, network.prunable, run, start=start, stage=stage)

    def recalibrated(self, network: Network, weights: Mapping[str, FloatArray]) -> Network:
        """`network` with `weights`, by initializer, as fine-tuning would begin with them."""
        from alcs_onnx import train

        run = train.TrainRun(self.data, replace(self.config, finetune_epochs=0), teacher=self.dense)
        start = train.Start(weights, network.weight_masks, network.bias_masks)
        return network.trained(train.finetune(network.model, network.prunable, run, start=start))

    def repair(self, model: Model, weight_masks: Mapping[str, BoolArray]) -> Model:
        """`model` with masked weights, by layer, its activations brought back into range."""
        from alcs_onnx import train

        trained = train.weights_of(model).trained
        layers = {
            layer.name: layer.weight
            for layer in conv_layers(model)
            if layer.name in weight_masks and layer.weight in trained
        }
        run = train.TrainRun(self.data, replace(self.config, finetune_epochs=0))
        masks = {name: weight_masks[name] for name in layers}
        result = train.finetune(model, layers, run, start=train.Start(keep=masks))
        return model.with_initializers(result.weights)

    def gradients(self, model: Model) -> Mapping[str, FloatArray]:
        """Mean gradients of the loss of `model`, by initializer."""
        from alcs_onnx import train

        return train.mean_gradients(model, self.data, self.config)

    def run(self, purpose: str) -> TrainRun:
        """What the stages of training share; `purpose` is what the budget or step is."""
        from alcs_onnx import train

        return train.TrainRun(
            self.data,
            self.config,
            self.reporter,
            teacher=self.dense,
            checkpoint=self.training.checkpoint,
            resume=self.training.resume,
            fingerprint=f"{purpose} {self.training.data}",
        )


def open_trainer(
    dense: Model,
    training: Training,
    seed: int,
    reporter: Reporter,
    *,
    feeds: Mapping[str, Array] | None = None,
    given: Collection[str] = (),
) -> Trainer:
    """Load the data and check that torch computes what ONNX Runtime does for `dense`.

    `feeds` are inputs that `dense` can take, at its own shapes. Those that are `given`, by name,
    are the user's values of inputs that the data need not give.

    Raises `DataError` for data that does not fit the model, another child of `AlcsError` where
    torch is not installed or the two differ.
    """
    from alcs_onnx import train

    config = train.TrainConfig(**{"seed": seed, **training.config})
    augment = train.Augment.parse(training.augment)
    options = DataOptions(
        preprocess=Preprocess.parse(training.preprocess),
        values={name: array for name, array in (feeds or {}).items() if name in given},
        seed=seed,
    )
    data = train.augmented(load_data(training.data, dense, options), augment)
    for text in (*data.notes, *train.limits(dense), train.limited_rho(config)):
        if text:
            reporter.note(text)
    train.verify(dense, feeds=feeds, seed=seed)
    return Trainer(dense, training, data, config, reporter)


def trainer_of(workload: Workload, training: Training, reporter: Reporter) -> Trainer:
    """`open_trainer` for the model of `workload`, on its inputs."""
    return open_trainer(
        workload.model,
        training,
        workload.seed,
        reporter,
        feeds=workload.feeds,
        given=workload.inputs.values,
    )


def epochs_of(history: TrainHistory) -> Epochs:
    """The records of some stages as plain values, for results that are saved."""
    return tuple(asdict(record) for record in history.records)
