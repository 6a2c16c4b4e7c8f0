"""Steps by training: ADMM, then masked retraining; levels by ADMM and masked mapping."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from alcs_onnx.fidelity import Fidelity
from alcs_onnx.graph import Model
from alcs_onnx.pipeline.common.evidence import Evidence
from alcs_onnx.pipeline.common.training import Trainer, epochs_of
from alcs_onnx.pipeline.compress.state import Compressed
from alcs_onnx.pipeline.compress.way import Step
from alcs_onnx.structures import largest_groups
from alcs_onnx.types import Codebook, ConvLayer, FloatArray, LayerName

if TYPE_CHECKING:
    from alcs_onnx.train import Start, TrainRun


class ByTraining:
    """Steps are checkpointed under numbers in the folder `checkpoint`."""

    def __init__(self, trainer: Trainer, evidence: Evidence, checkpoint: Path | None) -> None:
        self._trainer, self._evidence, self._folder = trainer, evidence, checkpoint
        self._steps = 0

    def begun(self) -> Self:
        """This, with no checkpoint of another run that this one does not go on from."""
        if self._folder is not None and not self._trainer.training.resume:
            # A run that is interrupted early must not be resumed into steps of another one.
            for old in self._folder.glob("step-*/*.pt"):
                old.unlink()
        return self

    @property
    def source(self) -> str:
        """The training data."""
        return self._trainer.training.data

    @property
    def settings(self) -> Mapping[str, object]:
        """The schedule."""
        return self._trainer.training.config

    def measured(self, model: Model) -> tuple[float, str]:
        """The metric of the data on its test samples."""
        found = self._trainer.measure(model)
        return found.value, found.kind

    def written(self, model: Model, fidelity: Fidelity) -> float | None:
        """That in ONNX Runtime."""
        return self._evidence.test_accuracy(model, self._trainer.data, fidelity)

    def pruned(
        self, model: Model, layers: Mapping[LayerName, ConvLayer], state: Compressed, step: Step
    ) -> Compressed:
        """ADMM towards the step's projection, then masked retraining."""
        from alcs_onnx import train

        def project(weights: Mapping[str, FloatArray]) -> Any:
            masks = {}
            for name, weight in weights.items():
                layer, left = layers[name], state.keep[name]
                keep = largest_groups(step.structure, weight, layer, step.counts[name])
                masks[name] = step.structure.weight_mask(keep, layer) & left
            return train.Projection(masks)

        run, weights = self._run(step.purpose), _initializers(layers)
        start = _start(state)
        first = train.admm(model, weights, project, run, start=start, stage=f"{self._steps}-admm")
        vectors = step.dead_biases(first.keep)
        second = train.finetune(
            model,
            weights,
            run,
            start=train.Start(first.weights, first.keep, vectors),
            stage=f"{self._steps}-finetune",
        )
        return replace(
            state,
            weights=second.weights,
            keep=second.keep,
            vectors=vectors,
            epochs=epochs_of(first.history + second.history),
        )

    def quantized(
        self,
        model: Model,
        layers: Mapping[LayerName, ConvLayer],
        state: Compressed,
        levels: Codebook,
        *,
        per_channel: bool,
    ) -> Compressed:
        """ADMM-NN-S section 4.2."""
        from alcs_onnx import train

        result = train.quantize_weights(
            model,
            _initializers(layers),
            dict.fromkeys(layers, levels),
            self._run(f"{levels.name} {per_channel}"),
            start=_start(state),
            per_channel=per_channel,
        )
        return replace(
            state,
            weights=result.weights,
            quantized=result.quantized,
            epochs=epochs_of(result.history),
        )

    def _run(self, what: str) -> TrainRun:
        """The run of a step: what it is for, and a checkpoint folder of its own."""
        self._steps += 1
        return replace(
            self._trainer.run(f"step {self._steps}: {what}"),
            checkpoint=self._folder and self._folder / f"step-{self._steps:03d}",
        )


def _initializers(layers: Mapping[LayerName, ConvLayer]) -> dict[LayerName, str]:
    return {name: layer.weight for name, layer in layers.items()}


def _start(state: Compressed) -> Start:
    """What the training of the next step starts from."""
    from alcs_onnx import train

    return train.Start(state.weights, state.keep, state.vectors)
