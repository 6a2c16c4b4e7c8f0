"""Each layer alone at several densities: what its outputs lose, and what the network's do.

The database of OBC and SPDY (Frantar and Alistarh, 2022): layers are fitted one at a time on the
dense network's inputs, and the network is run with one layer at one level, going on from the layer
that was changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

import numpy as np

from alcs_onnx.graph import Model, part
from alcs_onnx.ort import Feeds, run
from alcs_onnx.posttraining.admm import Fitted, fit
from alcs_onnx.posttraining.divergence import divergence
from alcs_onnx.posttraining.in_order import held_chunks
from alcs_onnx.posttraining.layer_levels import LayerLevels
from alcs_onnx.posttraining.layers import arrays_of, own_layers
from alcs_onnx.posttraining.moments import MomentSums, Places
from alcs_onnx.posttraining.problem import LayerProblem
from alcs_onnx.posttraining.stages import Fed, Stages
from alcs_onnx.posttraining.store import LevelStore
from alcs_onnx.posttraining.supports import largest
from alcs_onnx.posttraining.threads import side_by_side, threads_for
from alcs_onnx.posttraining.walk import Walk, open_part
from alcs_onnx.reporter import SILENT, Reporter
from alcs_onnx.structures import Structure
from alcs_onnx.types import ConvLayer, FloatArray

#: Densities at which layers are looked at, besides 1.
DENSITIES = (0.8, 0.65, 0.5, 0.37, 0.27, 0.18, 0.1, 0.05, 0.02)

_NOWHERE = LevelStore()


def measure_levels(
    model: Model,
    layers: Mapping[str, Structure],
    fed: Fed,
    *,
    judged: int = 1,
    store: LevelStore = _NOWHERE,
    densities: Sequence[float] = DENSITIES,
    seed: int = 0,
    reporter: Reporter = SILENT,
) -> dict[str, LayerLevels]:
    """The levels of `layers`, each with its structure, by name.

    `model` takes several samples at once; `fed` are its inputs, chunk by chunk. On the last chunks,
    of which there are at most `judged`, the network's outputs are looked at; layers are fitted on
    the others, if there are others: what a layer loses on pictures that it was not fitted on is
    what counts. What `store` has is not looked at again.
    """
    found = {name: known for name in layers if (known := store.load(name)) is not None}
    if len(found) == len(layers):
        return found
    own = {layer.name: layer for layer in own_layers(model)}
    stages = Stages(model, layers)
    dense = Walk.begin(stages, fed)
    held = min(judged, held_chunks(dense.chunks)) or 1
    expected = outputs_of(model, islice(fed(), dense.chunks - held, None))
    for index in range(len(stages)):
        name = stages.layer(index)
        if name is not None and name not in found:
            layer, structure = own[name], layers[name]
            sums = _sums(dense, index, layer, held, seed + index)
            problem = sums.problem(model.initializers[layer.weight])
            groups = int(np.prod(structure.mask_shape(layer)))
            counts = sorted({max(1, round(d * groups)) for d in densities} - {groups}, reverse=True)
            fits = _fits(problem, layer, structure, counts)
            arrays = [arrays_of(model, layer, x.weights, sums.bias(x.weights)) for x in fits]
            losses = _losses(dense, index, arrays, expected)
            found[name] = LayerLevels(
                np.array([groups, *counts]),
                (0.0, *(x.error for x in fits)),
                (0.0, *losses),
                _ranks(fits, layer, structure, problem.dense),
            )
            store.save(name, found[name])
        dense.move_on(index)
        reporter.phase("layers at several densities", (index + 1) / len(stages))
    return found


def _fits(
    problem: LayerProblem, layer: ConvLayer, structure: Structure, counts: Sequence[int]
) -> list[Fitted]:
    """The layer by itself with so many groups each."""
    with threads_for(problem.size):
        _ = problem.spectrum  # once, for all of them
    return side_by_side(lambda count: fit(problem, largest(structure, layer, count)), counts)


def outputs_of(model: Model, fed: Iterable[Feeds]) -> list[list[FloatArray]]:
    """The outputs, chunk by chunk."""
    whole = part(model, model.nodes)
    session, names = open_part(whole), [info.name for info in model.outputs]
    found = (run(session, feeds) for feeds in fed)
    return [[outputs[name] for name in names] for outputs in found]


def _sums(dense: Walk, index: int, layer: ConvLayer, held: int, seed: int) -> MomentSums:
    """Moments of what the dense network gives a layer, and has of it, but for the chunks `held`."""
    (node,) = dense.stages.nodes[index]
    sums, places = MomentSums(layer), Places(layer, dense.samples, seed)
    last = dense.chunks - held if dense.chunks > held else dense.chunks
    for x, y in islice(dense.each(index, node.inputs[0], node.outputs[0]), last):
        sums.add(x, y, places.some())
    return sums


def _losses(
    dense: Walk,
    index: int,
    levels: Sequence[Mapping[str, FloatArray]],
    expected: Sequence[Sequence[FloatArray]],
) -> list[float]:
    """What the network's outputs part by, with layer `index` at each of the `levels`."""
    stages = dense.stages
    (node,) = stages.nodes[index]
    source, result = node.inputs[0], node.outputs[0]
    rest, names = stages.rest(index), [info.name for info in stages.model.outputs]
    later = [info.name for info in rest.inputs if info.name != result]
    early = [n for n in names if n != result and n not in (info.name for info in rest.outputs)]
    wanted = tuple(dict.fromkeys((source, *later, *early)))
    last = range(dense.chunks - len(expected), dense.chunks)
    there = [dense.values(index, wanted, chunk) for chunk in last]
    session = open_part(rest) if rest.nodes else None
    alone = part(stages.model, [node])
    found = []
    for arrays in levels:
        layer = open_part(alone.with_initializers(arrays))
        total = 0.0
        for chunk, outputs in zip(there, expected, strict=True):
            known = {**chunk, result: run(layer, {source: chunk[source]})[result]}
            if session is not None:
                known |= run(session, {value.name: known[value.name] for value in session.inputs})
            total += divergence(outputs, [known[name] for name in names])
        found.append(total / len(expected))
    return found


def _ranks(
    fits: Sequence[Fitted], layer: ConvLayer, structure: Structure, scaled: FloatArray
) -> FloatArray:
    """How long each group stays; among those of one level the larger in scaled columns first."""
    grouped = structure.grouped(scaled.reshape(layer.weight_shape), layer)
    ranks = np.sqrt(np.einsum("...g,...g->...", grouped, grouped))
    ranks /= 2 * max(float(ranks.max()), float(np.finfo(np.float32).tiny))
    for fitted in fits:
        ranks += structure.group_mask(fitted.support.reshape(layer.weight_shape), layer)
    return np.asarray(ranks, np.float32)
