"""Steps from pictures alone: layers are refitted to the dense model's outputs.

Each step begins with the dense weights again and fits what may be left of them in one go, in the
order of the graph (`posttraining`): layer-wise ADMM finds which groups stay, coordinate descent
which levels weights take.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np

from alcs_onnx.data import IndexedSamples
from alcs_onnx.fidelity import Fidelity
from alcs_onnx.graph import Model, loadable
from alcs_onnx.pipeline.common.evidence import Evidence, Judging
from alcs_onnx.pipeline.common.layers import grouped_reasons
from alcs_onnx.pipeline.common.shown import Shown, enough_memory, unfit_layers
from alcs_onnx.pipeline.compress.state import Compressed
from alcs_onnx.pipeline.compress.way import Step
from alcs_onnx.posttraining import (
    Allowed,
    OnCodebook,
    Refit,
    largest,
    refit_in_order,
    refitted_layers,
    weights_of,
)
from alcs_onnx.reporter import Reporter
from alcs_onnx.types import (
    BoolArray,
    Codebook,
    ConvLayer,
    FloatArray,
    InitializerName,
    LayerName,
    QuantizedWeight,
)


@dataclass(frozen=True)
class ByRefitting:
    """Pictures of `evidence`, which `judging` names, are fitted on, and judge.

    told: what was said of them already.
    """

    judging: Judging
    evidence: Evidence
    seed: int
    reporter: Reporter
    told: set[str] = field(default_factory=set)

    @property
    def source(self) -> str:
        """The pictures."""
        assert self.judging.pictures is not None
        return self.judging.pictures

    @property
    def settings(self) -> Mapping[str, object]:
        """How pictures are read, and how many there are to fit on."""
        assert isinstance(self.evidence.fit, IndexedSamples)
        return {"preprocess": self.judging.preprocess, "refitted_on": len(self.evidence.fit)}

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
        unfit = self._unfit(model, layers)
        keep, chosen = {**state.keep}, dict[LayerName, Allowed]()
        for name, layer in layers.items():
            support = largest(step.structure, layer, step.counts[name], within=keep[name])
            mask = support(_weight(model, layer))
            if name in unfit:
                keep[name] = mask
            elif not mask.all():
                chosen[name] = support
        masked = {layers[n].weight: _weight(model, layers[n]) * keep[n] for n in unfit}
        found = self._refit(model, layers, chosen, state.vectors, masked)
        keep |= {name: found.supports[name] for name in chosen}
        vectors = step.dead_biases(keep)
        if _fewer(vectors, state.vectors):
            # Which filters go is known now: layers behind them see nothing, not their mean.
            found = self._refit(model, layers, {n: keep[n] for n in chosen}, vectors, masked)
        else:
            self._tell(state, found)
        weights = _without(model, {**found.arrays, **masked}, vectors)
        return replace(state, weights=weights, keep=keep, vectors=vectors, errors=found.errors)

    def quantized(
        self,
        model: Model,
        layers: Mapping[LayerName, ConvLayer],
        state: Compressed,
        levels: Codebook,
        *,
        per_channel: bool,
    ) -> Compressed:
        """Levels and their scales by the outputs of layers, within what is left."""
        keep, quantized = state.keep, dict[LayerName, QuantizedWeight]()
        chosen = {name: OnCodebook(keep[name], levels, per_channel) for name in layers}
        for name in self._unfit(model, layers):
            quantized[name] = chosen.pop(name).nearest(_weight(model, layers[name]))
        values = {layers[name].weight: each.values() for name, each in quantized.items()}
        found = self._refit(model, layers, chosen, state.vectors, values)
        self._tell(state, found)
        weights = _without(model, {**found.arrays, **values}, state.vectors)
        levelled = {**quantized, **found.quantized}
        return replace(state, weights=weights, quantized=levelled, errors=found.errors)

    def _unfit(self, model: Model, layers: Mapping[LayerName, ConvLayer]) -> Mapping[str, str]:
        """Those of `layers` that cannot be refitted, with the reason, which is told."""
        unfit = unfit_layers(model, layers)
        if unfit:
            self._say(f"{grouped_reasons(unfit.values(), 'layer')}: chosen by the weights alone")
        return unfit

    def _refit(
        self,
        model: Model,
        layers: Mapping[LayerName, ConvLayer],
        chosen: Mapping[LayerName, Allowed],
        left: Mapping[InitializerName, BoolArray],
        changed: Mapping[InitializerName, FloatArray],
    ) -> Refit:
        """All layers refitted; those that take no part keep the zeros that they have."""
        shown = Shown.of(model, self.evidence)
        others = {
            name: weights_of(shown.model, layer) != 0
            for name, layer in refitted_layers(shown.model).items()
            if name not in layers
        }
        zeros = {name: mask for name, mask in others.items() if not mask.all()}
        with enough_memory():
            return refit_in_order(
                shown.model,
                {**zeros, **chosen},
                shown.fed,
                left=left,
                changed=changed,
                seed=self.seed,
                reporter=self.reporter,
            )

    def _tell(self, state: Compressed, found: Refit) -> None:
        """What the pictures say too little about, before a step makes inputs zero itself."""
        if not state.weights:
            for text in found.notes:
                self._say(text)

    def _say(self, text: str) -> None:
        if text not in self.told:
            self.told.add(text)
            self.reporter.note(text)


def _left(found: Fidelity) -> float:
    quality = found.quality
    assert quality is not None, "pictures judge"
    return quality / 100


def _weight(model: Model, layer: ConvLayer) -> FloatArray:
    return np.asarray(model.initializers[layer.weight], np.float32)


def _fewer(
    vectors: Mapping[InitializerName, BoolArray], before: Mapping[InitializerName, BoolArray]
) -> bool:
    """Whether a bias is gone that was there before."""
    return any((~mask & before.get(name, np.True_)).any() for name, mask in vectors.items())


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
