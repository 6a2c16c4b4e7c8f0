"""Layers refitted in the order of the graph, each on what the pruned network gives it.

What layers before it have lost is in a layer's inputs; its weights are chosen so that its outputs
are nevertheless those of the dense network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from alcs_onnx.graph import Model
from alcs_onnx.posttraining.admm import Fitted, Support, fit, fit_on
from alcs_onnx.posttraining.codebook_fit import FittedOnCodebook, OnCodebook, fit_on_codebook
from alcs_onnx.posttraining.layers import arrays_of, refitted_layers, weights_of
from alcs_onnx.posttraining.moments import MomentSums, Places
from alcs_onnx.posttraining.problem import DAMPING, LayerProblem
from alcs_onnx.posttraining.stages import Fed, Stages
from alcs_onnx.posttraining.threads import threads_for
from alcs_onnx.posttraining.walk import Walk
from alcs_onnx.reporter import SILENT, Reporter
from alcs_onnx.types import BoolArray, ConvLayer, FloatArray, InitializerName, QuantizedWeight

#: What weights may be: those of a support that is chosen, or given as a mask, or levels of one.
Allowed = Support | BoolArray | OnCodebook


@dataclass(frozen=True, eq=False)
class Refit:
    """What came of all layers.

    arrays: the refitted weights and biases by initializer.
    supports: the weights that stay by layer, of those that lose some.
    quantized: what they are by layer, of those that are levels.
    errors: by layer the relative squared error of its outputs with what stays as it was, and
        refitted; both on the inputs that the pruned network gives it, and where a support was given
        of the outputs that it leaves something of.
    notes: what is to be told of the pictures.
    """

    arrays: Mapping[str, FloatArray]
    supports: Mapping[str, BoolArray]
    errors: Mapping[str, tuple[float, float]]
    notes: tuple[str, ...] = ()
    quantized: Mapping[str, QuantizedWeight] = field(default_factory=dict)


#: What is tried for how strongly weights are pulled towards the dense ones, see `problem.DAMPING`.
_DAMPINGS = (1e-3, 1e-2, 1e-1, 1.0)


def refit_in_order(
    model: Model,
    supports: Mapping[str, Allowed],
    fed: Fed,
    *,
    left: Mapping[InitializerName, BoolArray] | None = None,
    changed: Mapping[InitializerName, FloatArray] | None = None,
    alone: bool = False,
    seed: int = 0,
    reporter: Reporter = SILENT,
) -> Refit:
    """All layers refitted; those that `supports` names keep weights of a set, the others all.

    A support is chosen, or given as a mask in the shape of the weight, or as that of levels.
    `model` takes several samples at once; `fed` are its inputs, chunk by chunk. With `alone` each
    layer of `supports` is refitted on what the dense network gives it, as if no other had lost
    anything, and no other is.
    Where biases are not `left`, by initializer, they are 0: those of channels that are gone, which
    must not give a mean to what reads them. `changed` are initializers that the pruned network has
    instead: of layers that are not refitted, and made up for by those behind them.
    """
    layers = refitted_layers(model)
    stages = Stages(model, layers)
    dense, pruned = Walk.begin(stages, fed), Walk.begin(stages, fed)
    pruned.change(changed or {})
    arrays: dict[str, FloatArray] = {}
    found: dict[str, BoolArray] = {}
    errors: dict[str, tuple[float, float]] = {}
    quantized: dict[str, QuantizedWeight] = {}
    few: list[str] = []
    silent: list[str] = []
    for index in range(len(stages)):
        name = stages.layer(index)
        if name is not None and (name in supports or (pruned.changed and not alone)):
            layer = layers[name]
            support = supports.get(name)
            inputs = dense if alone else pruned
            sums, held = _gather(inputs, dense, index, layer, seed + index)
            weights = weights_of(model, layer)
            with threads_for(float(layer.weight_count * layer.columns)):
                damping = _damping(sums, held, weights, support)
                sums = sums.joined(held)
                problem = sums.problem(weights, damping)
                fitted = _fitted(problem, support)
            own = arrays_of(model, layer, fitted.weights, sums.bias(fitted.weights))
            own |= {n: np.where(left[n], own[n], 0) for n in own if left and n in left}
            arrays |= own
            errors[name] = _errors(problem, fitted, support)
            few += [name] * (sums.count < layer.columns)
            silent += [name] * problem.has_silent_columns(_read(fitted, support))
            if support is not None:
                found[name] = fitted.support.reshape(layer.weight_shape)
            if isinstance(fitted, FittedOnCodebook):
                quantized[name] = fitted.quantized
            pruned.change(own)
        dense.move_on(index)
        pruned.move_on(index)
        reporter.phase("refitting layers in order", (index + 1) / len(stages))
    return Refit(arrays, found, errors, _notes(few, silent), quantized)


def _read(fitted: Fitted, support: Allowed | None) -> BoolArray:
    """The columns [G, columns] that are there: what a given support leaves out is gone."""
    there: BoolArray = np.asarray(fitted.support.any(axis=1))
    return there if isinstance(support, np.ndarray | OnCodebook) else np.ones_like(there)


def _errors(problem: LayerProblem, fitted: Fitted, support: Allowed | None) -> tuple[float, float]:
    """Before and after; outputs that a given support leaves nothing of are gone."""
    kept = problem.weights * fitted.support
    if isinstance(support, OnCodebook):
        nearest = support.nearest(kept).values()
        kept = nearest.reshape(kept.shape).astype(np.float64)
    elif not isinstance(support, np.ndarray):
        return problem.error(kept), fitted.error
    rows: BoolArray = np.asarray(fitted.support.any(axis=2))
    return problem.error(kept, rows), problem.error(fitted.weights, rows)


def _fitted(problem: LayerProblem, support: Allowed | None) -> Fitted:
    shape = problem.weights.shape
    if support is None:
        return fit_on(problem, np.ones(shape, bool))
    if isinstance(support, OnCodebook):
        return fit_on_codebook(problem, support)
    if isinstance(support, np.ndarray):
        return fit_on(problem, support.reshape(shape))
    return fit(problem, support)


def _notes(few: Sequence[str], silent: Sequence[str]) -> tuple[str, ...]:
    """Layers that the pictures say too little about."""
    notes = []
    if few:
        notes.append(
            f"{_named(few)} more weights in a row than the pictures have windows: they are pulled "
            "towards the dense weights, and more pictures would help"
        )
    if silent:
        notes.append(
            f"{_named(silent)} inputs that are zero on all pictures: what reads them stays as it is"
        )
    return tuple(notes)


def _named(layers: Sequence[str]) -> str:
    others = f" and {len(layers) - 1} others have" if len(layers) > 1 else " has"
    return f"layer '{layers[0]}'{others}"


def _gather(
    inputs: Walk, outputs: Walk, index: int, layer: ConvLayer, seed: int
) -> tuple[MomentSums, MomentSums]:
    """Moments of what `inputs` gives `layer`, part `index`, and of what `outputs` has of it.

    Those of the last chunks are held apart.
    """
    (node,) = inputs.stages.nodes[index]
    fitted, held = MomentSums(layer), MomentSums(layer)
    places = Places(layer, inputs.samples, seed)
    first_held = inputs.chunks - held_chunks(inputs.chunks)
    beside = _added(inputs.stages, index)
    pairs = zip(
        inputs.each(index - 1, node.inputs[0], *beside),
        outputs.each(index, node.outputs[0], *beside),
        strict=True,
    )
    for chunk, ((x, *here), (y, *there)) in enumerate(pairs):
        sums = fitted if chunk < first_held else held
        sums.add(x, y + there[0] - here[0] if beside else y, places.some())
    return fitted, held


def held_chunks(chunks: int) -> int:
    """How many of the last chunks are held apart, to judge by what was fitted on the others."""
    return max(1, chunks // 4) if chunks > 1 else 0


def _damping(
    fitted: MomentSums, held: MomentSums, weights: FloatArray, support: Allowed | None
) -> float:
    """What loses least on pictures that are held apart.

    A layer sees many windows, but few pictures: fitted closely to the outputs of these, it may be
    far off on others, the last layers of a network above all.
    """
    if not held.count:
        return DAMPING if fitted.count >= fitted.layer.columns else _DAMPINGS[-1]
    first, other = fitted.problem(weights), held.problem(weights)
    if isinstance(support, OnCodebook):
        support = support.support
    chosen = _fitted(first, support).support
    found = {
        damping: other.error(fit_on(replace(first, damping=damping), chosen).weights)
        for damping in _DAMPINGS
    }
    return min(found, key=lambda damping: found[damping])


def _added(stages: Stages, index: int) -> list[str]:
    """What is there before layer `index` and is added to its result, of the same shape: a residual.

    What it has lost can be made up for by the layer.
    """
    model, tensor = stages.model, stages.nodes[index][0].outputs[0]
    readers = model.consumers(tensor)
    if len(readers) != 1 or model.is_output(tensor) or not readers[0].is_op("Add"):
        return []
    same, there = model.shapes.get(tensor), stages.live(index - 1)
    others = (name for name in readers[0].inputs if name != tensor)
    return [name for name in others if name in there and model.shapes.get(name) == same]
