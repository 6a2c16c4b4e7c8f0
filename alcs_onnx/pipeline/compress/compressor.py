"""Pruning and quantization to given targets: the steps that `compress` and
`compare-structures` are made of (the procedure of ADMM-NN-S, figures 6 and 8).

Each step starts from a state and returns another; a step that cost too much accuracy is undone
by going on from the state before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from alcs_onnx.graph import Model
from alcs_onnx.latency import Estimator
from alcs_onnx.pipeline.compress.state import Compressed
from alcs_onnx.pipeline.compress.way import Step, Way
from alcs_onnx.rewrite import filter_masks
from alcs_onnx.solve import KeepTarget, kept_counts
from alcs_onnx.structures import Structure
from alcs_onnx.types import (
    BoolArray,
    Codebook,
    ConvLayer,
    FloatArray,
    InitializerName,
    LayerName,
    WeightMask,
)


class Compressor:
    """Takes a model's layers through pruning rounds and quantization, one `way` or another.

    `layers` are those that take part. `rule` shares a network's target out over them, unless
    a structure keeps the same share of each, and `estimator` knows their run times where targets
    name shares of it.
    """

    def __init__(
        self,
        model: Model,
        layers: Sequence[ConvLayer],
        way: Way,
        *,
        rule: str = "lamp",
        estimator: Estimator | None = None,
    ) -> None:
        self.model, self._way = model, way
        self.layers = {layer.name: layer for layer in layers}
        self._rule, self._estimator = rule, estimator

    def start(self) -> Compressed:
        """The model as it is: weights that are zero count as pruned in an earlier round."""
        keep = {
            name: np.asarray(self.model.initializers[layer.weight] != 0, dtype=np.bool_)
            for name, layer in self.layers.items()
        }
        accuracy, measure = self._way.measured(self.model)
        return Compressed(accuracy, measure, {}, keep)

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
        """One round towards the counts of `targets`.

        With `progress` below 1 it is an earlier round towards them (`solve.kept_counts`): each of
        the rounds of progressive pruning starts from the result of the one before. Shares are
        of what `base` has, the state before the structure's first round. What
        `state` has pruned stays pruned (ADMM-NN-S section 4.3), so a second structure is chosen
        within what the first has left. Counts are settled before the round.
        """
        counts = self._counts(state, structure, targets, progress, base or state)

        def dead(keep: Mapping[LayerName, WeightMask]) -> dict[InitializerName, BoolArray]:
            return {**state.vectors, **self._dead_biases(structure, keep)}

        step = Step(structure, counts, dead)
        return self._judged(self._way.pruned(self.model, self.layers, state, step))

    def quantize(
        self, state: Compressed, levels: Codebook, *, per_channel: bool = False
    ) -> Compressed:
        """Weights to levels, zeros staying zeros; pruned biases stay zero as well."""
        found = self._way.quantized(self.model, self.layers, state, levels, per_channel=per_channel)
        return self._judged(found)

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
            rule="uniform" if structure.same_share else self._rule,
            estimator=self._estimator,
            progress=progress,
            groups=groups,
        )

    def _judged(self, state: Compressed) -> Compressed:
        accuracy, _ = self._way.measured(self.model_of(state))
        return replace(state, accuracy=accuracy)

    def _dead_biases(
        self, structure: Structure, keep: Mapping[LayerName, WeightMask]
    ) -> dict[InitializerName, BoolArray]:
        """Masks of the biases that go with removed filters, by initializer."""
        if not structure.removes_filters:
            return {}
        filters = {
            name: structure.group_mask(mask, self.layers[name]) for name, mask in keep.items()
        }
        weights = {layer.weight for layer in self.layers.values()}
        masks = filter_masks(self.model, filters)
        return {name: mask for name, mask in masks.items() if name not in weights}

    def _weight(self, state: Compressed, layer: ConvLayer) -> FloatArray:
        found = state.weights.get(layer.weight)
        return np.asarray(self.model.initializers[layer.weight] if found is None else found)
