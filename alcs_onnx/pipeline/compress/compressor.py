"""Pruning and quantization to given targets: the steps that `compress` and
`compare-structures` are made of (the procedure of ADMM-NN-S, figures 6 and 8).

Each step starts from a state and returns another; a step that cost too much accuracy is undone
by going on from the state before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from alcs_onnx.graph import Model
from alcs_onnx.latency import Estimator
from alcs_onnx.pipeline.common.training import Trainer, epochs_of
from alcs_onnx.pipeline.compress.result import Epochs
from alcs_onnx.rewrite import filter_masks
from alcs_onnx.solve import KeepTarget, kept_counts
from alcs_onnx.structures import Structure, largest_groups
from alcs_onnx.types import (
    BoolArray,
    Codebook,
    ConvLayer,
    FloatArray,
    InitializerName,
    LayerName,
    QuantizedWeight,
    WeightMask,
)

if TYPE_CHECKING:
    from alcs_onnx.train import Start, TrainRun


@dataclass(frozen=True)
class Compressed:
    """A trained model on its way: what it weighs and how well it does.

    `weights` are empty at the start; `keep` are the weights that are left, and `vectors` what is
    left of the biases that went with their filters. `accuracy` is the metric on the test samples,
    in [0, 1], and `measure` says of what. `epochs` are the records of the step that led here.
    """

    accuracy: float
    measure: str
    weights: Mapping[InitializerName, FloatArray] = field(default_factory=dict)
    keep: Mapping[LayerName, WeightMask] = field(default_factory=dict)
    quantized: Mapping[LayerName, QuantizedWeight] = field(default_factory=dict)
    vectors: Mapping[InitializerName, BoolArray] = field(default_factory=dict)
    epochs: Epochs = ()

    @property
    def kept(self) -> int:
        """Weights left in the layers that were pruned."""
        return sum(int(mask.sum()) for mask in self.keep.values())

    @property
    def start(self) -> Start:
        """What the training of the next step starts from."""
        from alcs_onnx import train

        return train.Start(self.weights, self.keep, self.vectors)


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


class Compressor:
    """Takes a model's layers through pruning rounds and quantization.

    `layers` are those that take part. `rule` shares a network's target out over them, and
    `estimator` knows their run times where targets name shares of it. Steps are checkpointed
    under numbers in the folder `checkpoint`.
    """

    def __init__(
        self,
        model: Model,
        layers: Sequence[ConvLayer],
        trainer: Trainer,
        *,
        rule: str = "lamp",
        estimator: Estimator | None = None,
        checkpoint: Path | None = None,
    ) -> None:
        self.model, self.trainer, self._folder = model, trainer, checkpoint
        self.layers = {layer.name: layer for layer in layers}
        self._initializers = {name: layer.weight for name, layer in self.layers.items()}
        self._rule, self._estimator = rule, estimator
        self._steps = 0
        if checkpoint is not None and not trainer.training.resume:
            # A run that is interrupted early must not be resumed into steps of another one.
            for old in checkpoint.glob("step-*/*.pt"):
                old.unlink()

    def start(self) -> Compressed:
        """The model as it is: weights that are zero count as pruned in an earlier round."""
        keep = {
            name: np.asarray(self.model.initializers[layer.weight] != 0, dtype=np.bool_)
            for name, layer in self.layers.items()
        }
        found = self.trainer.measure(self.model)
        return Compressed(found.value, found.kind, {}, keep)

    def whole(self, state: Compressed) -> Compressed:
        """`state` with no weight pruned: what shares of all weights are of."""
        keep = {name: np.ones(x.weight_shape, dtype=bool) for name, x in self.layers.items()}
        return replace(state, keep=keep)

    def prune(
        self,
        state: Compressed,
        structure: Structure,
        targets: Sequence[KeepTarget],
        progress: float = 1.0,
        base: Compressed | None = None,
    ) -> Compressed:
        """One round: ADMM towards the counts of `targets`, then masked retraining.

        With `progress` below 1 it is an earlier round towards them (`solve.kept_counts`): each of
        the rounds of progressive pruning starts from the result of the one before. Shares are
        of what `base` has, the state before the structure's first round. What
        `state` has pruned stays pruned (ADMM-NN-S section 4.3), so a second structure is chosen
        within what the first has left. Counts are settled before the round.
        """
        counts = self._counts(state, structure, targets, progress, base or state)
        project = self._projection(state, structure, counts)
        from alcs_onnx import train

        run = self._run(f"{structure.name} {sorted(counts.items())}")
        first = train.admm(
            self.model,
            self._initializers,
            project,
            run,
            start=state.start,
            stage=f"{self._steps}-admm",
        )
        vectors = {**state.vectors, **self._dead_biases(structure, first.keep)}
        second = train.finetune(
            self.model,
            self._initializers,
            run,
            start=train.Start(first.weights, first.keep, vectors),
            stage=f"{self._steps}-finetune",
        )
        return replace(
            state,
            accuracy=self._accuracy(second.weights),
            weights=second.weights,
            keep=second.keep,
            vectors=vectors,
            epochs=epochs_of(first.history + second.history),
        )

    def quantize(
        self, state: Compressed, levels: Codebook, *, per_channel: bool = False
    ) -> Compressed:
        """Weights to levels, zeros staying zeros; pruned biases stay zero as well."""
        from alcs_onnx import train

        result = train.quantize_weights(
            self.model,
            self._initializers,
            dict.fromkeys(self.layers, levels),
            self._run(f"{levels.name} {per_channel}"),
            start=state.start,
            per_channel=per_channel,
        )
        return replace(
            state,
            accuracy=self._accuracy(result.weights),
            weights=result.weights,
            quantized=result.quantized,
            epochs=epochs_of(result.history),
        )

    def model_of(self, state: Compressed) -> Model:
        """The model with the state's weights, dense in form."""
        return self.model.with_initializers(state.weights)

    def _counts(
        self,
        state: Compressed,
        structure: Structure,
        targets: Sequence[KeepTarget],
        progress: float,
        base: Compressed,
    ) -> dict[str, int]:
        energies, members, groups = {}, {}, {}
        for name, layer in self.layers.items():
            weight = self._weight(state, layer) * state.keep[name]
            grouped = structure.grouped(weight, layer)
            energies[name] = np.square(grouped, dtype=np.float64).sum(axis=-1)
            left = structure.grouped(state.keep[name], layer).sum(axis=-1)
            members[name] = float(left[left > 0].mean()) if left.any() else 1.0
            groups[name] = int(structure.group_mask(base.keep[name], layer).sum())
        return kept_counts(
            targets,
            energies,
            members,
            rule=self._rule,
            estimator=self._estimator,
            progress=progress,
            groups=groups,
        )

    def _projection(
        self, state: Compressed, structure: Structure, counts: Mapping[str, int]
    ) -> Callable[[Mapping[str, FloatArray]], Any]:
        """Onto the weights with at most `counts` groups in each layer."""
        from alcs_onnx import train

        def project(weights: Mapping[str, FloatArray]) -> Any:
            masks = {}
            for name, weight in weights.items():
                layer = self.layers[name]
                keep = largest_groups(structure, weight, layer, counts[name])
                masks[name] = structure.weight_mask(keep, layer) & state.keep[name]
            return train.Projection(masks)

        return project

    def _dead_biases(
        self, structure: Structure, keep: Mapping[LayerName, WeightMask]
    ) -> dict[InitializerName, BoolArray]:
        """Masks of the biases that go with removed filters, by initializer."""
        if not structure.removes_filters:
            return {}
        filters = {
            name: structure.group_mask(mask, self.layers[name]) for name, mask in keep.items()
        }
        weights = set(self._initializers.values())
        masks = filter_masks(self.model, filters)
        return {name: mask for name, mask in masks.items() if name not in weights}

    def _weight(self, state: Compressed, layer: ConvLayer) -> FloatArray:
        found = state.weights.get(layer.weight)
        return np.asarray(self.model.initializers[layer.weight] if found is None else found)

    def _accuracy(self, weights: Mapping[str, FloatArray]) -> float:
        return self.trainer.measure(self.model, weights).value

    def _run(self, what: str) -> TrainRun:
        """The run of a step: what it is for, and a checkpoint folder of its own."""
        self._steps += 1
        return replace(
            self.trainer.run(f"step {self._steps}: {what}"),
            checkpoint=self._folder and self._folder / f"step-{self._steps:03d}",
        )
