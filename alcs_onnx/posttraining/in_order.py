"""Layers refitted in the order of the graph, each on what the pruned network gives it.

What layers before it have lost is in a layer's inputs; its weights are chosen so that its outputs
are nevertheless those of the dense network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from alcs_onnx.graph import Model, conv_layers
from alcs_onnx.posttraining.admm import Fitted, Support, fit, fit_on
from alcs_onnx.posttraining.moments import MomentSums, Places
from alcs_onnx.posttraining.stages import Fed, Stages
from alcs_onnx.posttraining.threads import threads_for
from alcs_onnx.posttraining.walk import Walk
from alcs_onnx.reporter import SILENT, Reporter
from alcs_onnx.types import BoolArray, ConvLayer, FloatArray


@dataclass(frozen=True, eq=False)
class Refit:
    """The refitted weights and biases by initializer, the supports by layer, and the errors."""

    arrays: Mapping[str, FloatArray]
    supports: Mapping[str, BoolArray]
    errors: Mapping[str, float]


def own_layers(model: Model) -> tuple[ConvLayer, ...]:
    """The layers whose weights and biases nothing else reads, in order."""
    return tuple(
        layer
        for layer in conv_layers(model)
        if all(
            len(model.consumers(name)) == 1 and not model.is_output(name)
            for name in (layer.weight, layer.bias)
            if name
        )
    )


def refit_in_order(
    model: Model,
    supports: Mapping[str, Support],
    fed: Fed,
    *,
    seed: int = 0,
    reporter: Reporter = SILENT,
) -> Refit:
    """All layers refitted; those that `supports` names keep weights of a set, the others all.

    `model` takes several samples at once; `fed` are its inputs, chunk by chunk.
    """
    layers = {layer.name: layer for layer in own_layers(model)}
    stages = Stages(model, layers)
    dense, pruned = Walk.begin(stages, fed), Walk.begin(stages, fed)
    arrays: dict[str, FloatArray] = {}
    found: dict[str, BoolArray] = {}
    errors: dict[str, float] = {}
    for index in range(len(stages)):
        name = stages.layer(index)
        if name is not None and (pruned.changed or name in supports):
            layer = layers[name]
            support = supports.get(name)
            sums = _gather(pruned, dense, index, layer, seed + index)
            weights = model.initializers[layer.weight]
            problem = sums.problem(weights, centred=layer.bias is not None)
            with threads_for(problem.size):
                fitted = (
                    fit(problem, support)
                    if support is not None
                    else fit_on(problem, np.ones(problem.weights.shape, bool))
                )
            own = arrays_of(layer, sums, fitted)
            arrays |= own
            errors[name] = fitted.error
            if support is not None:
                found[name] = fitted.support.reshape(layer.weight_shape)
            pruned.change(own)
        dense.move_on(index)
        pruned.move_on(index)
        reporter.phase("refitting layers in order", (index + 1) / len(stages))
    return Refit(arrays, found, errors)


def _gather(inputs: Walk, outputs: Walk, index: int, layer: ConvLayer, seed: int) -> MomentSums:
    """Moments of what `inputs` gives `layer`, part `index`, and of what `outputs` has of it."""
    sums, places = MomentSums(layer), Places(layer, inputs.samples, seed)
    (node,) = inputs.stages.nodes[index]
    beside = _added(inputs.stages, index)
    pairs = zip(
        inputs.each(index - 1, node.inputs[0], *beside),
        outputs.each(index, node.outputs[0], *beside),
        strict=True,
    )
    for (x, *here), (y, *there) in pairs:
        sums.add(x, y + there[0] - here[0] if beside else y, places.some())
    return sums


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


def arrays_of(layer: ConvLayer, sums: MomentSums, fitted: Fitted) -> dict[str, FloatArray]:
    """The initializers of a layer, by name: its weights, and the bias that goes with them."""
    found = {layer.weight: fitted.weights.reshape(layer.weight_shape).astype(np.float32)}
    if layer.bias is not None:
        found[layer.bias] = sums.bias(fitted.weights).astype(np.float32)
    return found
