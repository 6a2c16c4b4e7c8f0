"""Steps from pictures alone: layers are refitted to the dense model's outputs.

Each step begins with the dense weights again and fits what may be left of them in one go, in the
order of the graph (`posttraining`): layer-wise ADMM finds which groups stay, coordinate descent
which levels weights take.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Self

import numpy as np

from alcs_onnx.codebooks import quantize
from alcs_onnx.data import IndexedSamples
from alcs_onnx.errors import AlcsError
from alcs_onnx.fidelity import Fidelity
from alcs_onnx.graph import Model, loadable
from alcs_onnx.pipeline.common.evidence import Evidence
from alcs_onnx.pipeline.common.shown import Shown, enough_memory, unfit_layers
from alcs_onnx.pipeline.compress.state import Compressed
from alcs_onnx.pipeline.compress.way import Step
from alcs_onnx.posttraining import LevelSet, Refit, refit_in_order
from alcs_onnx.posttraining.admm import Support
from alcs_onnx.posttraining.in_order import Allowed
from alcs_onnx.reporter import Reporter
from alcs_onnx.types import (
    BoolArray,
    Codebook,
    ConvLayer,
    FloatArray,
    InitializerName,
    LayerName,
    WeightMask,
)


@dataclass(frozen=True)
class ByRefitting:
    """Pictures of `evidence` are fitted on, and judge."""

    evidence: Evidence
    seed: int
    reporter: Reporter

    @property
    def source(self) -> str:
        """The pictures."""
        return self.evidence.judge.source

    @property
    def settings(self) -> Mapping[str, object]:
        """How many pictures there are to fit on."""
        assert isinstance(self.evidence.fit, IndexedSamples)
        return {"refitted_on": len(self.evidence.fit)}

    def begun(self) -> Self:
        """This: there is nothing to begin."""
        return self

    def measured(self, model: Model) -> tuple[float, str]:
        """What is left by the verdict's figure."""
        found = self.evidence.judge.judge(loadable(model))
        return _left(found), found.measured_by

    def written(self, model: Model, fidelity: Fidelity) -> float | None:
        """That of the verdict."""
        return _left(fidelity)

    def pruned(
        self, model: Model, layers: Mapping[LayerName, ConvLayer], state: Compressed, step: Step
    ) -> Compressed:
        """Layer-wise ADMM towards the step's projection, each layer on what those before give."""
        own, other = self._told(model, layers)
        keep = {**state.keep, **{n: step.largest(n, _weight(model, layers[n])) for n in other}}
        chosen: dict[LayerName, Allowed] = {
            name: _support(partial(step.largest, name), layer) for name, layer in own.items()
        }
        found = self._refit(model, chosen, state.vectors)
        keep |= found.supports
        vectors = step.dead_biases(keep)
        if not all(mask.all() for mask in vectors.values()):
            # Which filters go is known now: layers behind them see nothing, not their mean.
            found = self._refit(model, {name: keep[name] for name in own}, vectors)
        masked = {layers[n].weight: _weight(model, layers[n]) * keep[n] for n in other}
        weights = _without(model, {**found.arrays, **masked}, vectors)
        return replace(state, weights=weights, keep=keep, vectors=vectors)

    def quantized(
        self,
        model: Model,
        layers: Mapping[LayerName, ConvLayer],
        state: Compressed,
        levels: Codebook,
        *,
        per_channel: bool,
    ) -> Compressed:
        """Levels and their distances by the outputs of layers, within what is left."""
        own, other = self._told(model, layers)
        keep = state.keep
        found = self._refit(
            model, {n: LevelSet(keep[n], levels, per_channel) for n in own}, state.vectors
        )
        quantized = dict(found.quantized)
        for name in other:
            weight = _weight(model, layers[name])
            quantized[name] = quantize(weight, levels, keep=keep[name], per_channel=per_channel)
        values = {layers[name].weight: each.values() for name, each in quantized.items()}
        weights = _without(model, {**found.arrays, **values}, state.vectors)
        return replace(state, weights=weights, quantized=quantized)

    def _told(
        self, model: Model, layers: Mapping[LayerName, ConvLayer]
    ) -> tuple[dict[LayerName, ConvLayer], Mapping[LayerName, str]]:
        """The layers that can be refitted; the others are told, with the reason."""
        unfit = unfit_layers(model, layers)
        for name, reason in unfit.items():
            self.reporter.note(f"layer '{name}' {reason}: its weights change as they are")
        return {name: layer for name, layer in layers.items() if name not in unfit}, unfit

    def _refit(
        self,
        model: Model,
        allowed: Mapping[LayerName, Allowed],
        left: Mapping[InitializerName, BoolArray],
    ) -> Refit:
        if self.evidence.fit is None:
            raise AlcsError("there are no pictures to refit with")
        shown = Shown.of(model, self.evidence.fit)
        with enough_memory():
            found = refit_in_order(
                shown.model,
                allowed,
                shown.fed,
                left=left,
                seed=self.seed,
                reporter=self.reporter,
            )
        for text in found.notes:
            self.reporter.note(text)
        return found


def _left(found: Fidelity) -> float:
    quality = found.quality
    assert quality is not None, "pictures judge"
    return quality / 100


def _weight(model: Model, layer: ConvLayer) -> FloatArray:
    return np.asarray(model.initializers[layer.weight], np.float32)


def _without(
    model: Model,
    weights: Mapping[InitializerName, FloatArray],
    vectors: Mapping[InitializerName, BoolArray],
) -> dict[InitializerName, FloatArray]:
    """`weights` with the biases that are gone."""
    return {**weights} | {
        name: np.asarray(weights.get(name, model.initializers[name]) * mask, np.float32)
        for name, mask in vectors.items()
    }


def _support(largest: partial[WeightMask], layer: ConvLayer) -> Support:
    """The projection as layer-wise ADMM asks for it: of weights in rows of each conv group."""
    return lambda weights: largest(weights.reshape(layer.weight_shape)).reshape(weights.shape)
