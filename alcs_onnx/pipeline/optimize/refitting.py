"""What is left after removing is refitted, from pictures alone; groups go by what that loses.

Where there are pictures to fit on, or training samples. Layers are looked at one at a time at
several densities; the solver shares the budget out by what that costs the network's outputs; then
all layers are refitted in order (`posttraining`). Training, where there is data, starts from that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from weakref import WeakKeyDictionary

import numpy as np

from alcs_onnx.graph import Model
from alcs_onnx.latency import Estimator
from alcs_onnx.pipeline.common.evidence import Evidence
from alcs_onnx.pipeline.common.shown import Shown, enough_memory
from alcs_onnx.pipeline.common.workload import Workload
from alcs_onnx.pipeline.optimize.run import Run
from alcs_onnx.posttraining import (
    LayerLevels,
    LevelStore,
    Refit,
    largest,
    measure_levels,
    refit_in_order,
    refitted_layers,
)
from alcs_onnx.reporter import Reporter
from alcs_onnx.solve import CostCurve, least_cost
from alcs_onnx.structures import Structure, largest_groups
from alcs_onnx.types import BoolArray, ConvLayer, FloatArray, InitializerName

#: What helps beside fewer pictures where memory is short.
_BESIDE = ", or --refit off"

#: Pictures on which it is looked at what the network loses with one layer at one density.
_LOOKED_AT = 64

#: Levels do not depend on a budget: what was opened for one run serves others by the same evidence.
_OPENED: WeakKeyDictionary[Evidence, dict[tuple[object, ...], Refitting]] = WeakKeyDictionary()


def refits(run: Run) -> bool:
    """Whether what is left is refitted in `run`: with pictures, unless the plan is of a file."""
    pictures = run.evidence.fit is not None and run.given is None
    return pictures and run.request.refit != "off"


def open_refitting(run: Run, workload: Workload, layers: Mapping[str, ConvLayer]) -> Refitting:
    """Look at `layers` of the model of `workload` at several densities."""
    request, size = run.request, workload.simd_group
    settings = (workload.structure, size, request.refit, request.seed, workload.model.digest)
    opened = _OPENED.setdefault(run.evidence, {})
    key = (*settings, *layers)
    if key not in opened:
        opened[key] = Refitting.open(run, workload, layers)
    return opened[key]


def refit_kept(
    run: Run,
    model: Model,
    masks: Mapping[str, BoolArray],
    left: Mapping[InitializerName, BoolArray],
    pictures: int | None = None,
) -> Refit:
    """All layers of `model` refitted with the weights that `masks`, by layer, keep.

    And with the biases that are `left`, by initializer. On the first `pictures`, by default on all.
    """
    shown = Shown.of(model, run.evidence)
    own = refitted_layers(model)
    supports = {name: mask for name, mask in masks.items() if name in own}
    fed = shown.fed if pictures is None else partial(shown.few, pictures)
    with enough_memory(_BESIDE):
        return refit_in_order(
            shown.model,
            supports,
            fed,
            left=left,
            seed=run.request.seed,
            reporter=run.reporter,
        )


@dataclass(frozen=True, eq=False)
class Refitting:
    """The levels of the layers that can lose groups, and what they are refitted with.

    by: what layers are given their shares by, as `REFITS` says.
    levels: of the layers by name; none where shares go by the weights.
    """

    shown: Shown
    structure: Structure
    by: str
    levels: Mapping[str, LayerLevels]
    seed: int

    @classmethod
    def open(cls, run: Run, workload: Workload, layers: Mapping[str, ConvLayer]) -> Refitting:
        """Look at `layers` of the model of `workload` at several densities."""
        request, structure = run.request, workload.grouping
        shown = Shown.of(workload.model, run.evidence)
        found = cls(shown, structure, request.refit, {}, request.seed)
        if request.refit == "weights":
            return found
        settings = (structure.name, workload.simd_group, request.seed, _LOOKED_AT)
        with enough_memory(_BESIDE):
            levels = measure_levels(
                shown.model,
                dict.fromkeys(layers, structure),
                shown.fed,
                judged=shown.chunks_of(_LOOKED_AT),
                store=LevelStore.of(run.tables.folder, shown.model, shown.fed, settings),
                seed=request.seed,
                reporter=run.reporter,
            )
        return replace(found, levels=levels)

    def keep(
        self,
        layers: Mapping[str, ConvLayer],
        estimator: Estimator,
        budget_ms: float,
        weights: Mapping[str, FloatArray] | None = None,
    ) -> dict[str, BoolArray]:
        """Masks of the groups that stay, with the least loss within the budget (ms).

        Of `weights` by layer, which training has moved, the largest groups stay, as many.
        """
        curves = {name: curve for name, curve in self._curves.items() if name in layers}
        counts = least_cost(curves, estimator, budget_ms)
        if weights is None:
            return {name: self.levels[name].mask(count) for name, count in counts.items()}
        return {
            name: largest_groups(self.structure, weights[name], layers[name], count)
            for name, count in counts.items()
        }

    def cost(self, keep: Mapping[str, BoolArray]) -> float:
        """What a plan costs, before layers are refitted in order: the sum over layers."""
        return sum(float(self._curves[n].at(np.array([x.sum()]))[0]) for n, x in keep.items())

    def refit(
        self, layers: Mapping[str, ConvLayer], keep: Mapping[str, BoolArray], reporter: Reporter
    ) -> Refit:
        """All layers refitted in order; as many groups stay as in `keep`, others maybe."""
        supports = {
            name: largest(self.structure, layers[name], int(mask.sum()))
            for name, mask in keep.items()
            if not mask.all()
        }
        with enough_memory(_BESIDE):
            return refit_in_order(
                self.shown.model, supports, self.shown.fed, seed=self.seed, reporter=reporter
            )

    @cached_property
    def _curves(self) -> Mapping[str, CostCurve]:
        return {
            name: CostCurve(each.counts[::-1], np.array(each.costs(self.by)[::-1]))
            for name, each in self.levels.items()
        }
