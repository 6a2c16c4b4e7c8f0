"""Layers rounded in the order of the graph, each on what the rounded network gives it.

Weights are those whose outputs are nearest to what the dense weights would make of the same inputs:
the rounding of activations before is noise, and weights that made up for it on some pictures would
fit noise. Biases make the means those of the dense network, whatever came before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from alcs_onnx.graph import Model, Node
from alcs_onnx.posttraining.layers import own_layers
from alcs_onnx.posttraining.moments import MomentSums, Places
from alcs_onnx.posttraining.rounding import Grid, rounded
from alcs_onnx.posttraining.stages import Fed, Stages
from alcs_onnx.posttraining.threads import threads_for
from alcs_onnx.posttraining.walk import Walk
from alcs_onnx.reporter import SILENT, Reporter
from alcs_onnx.types import ConvLayer, DoubleArray, IntArray


@dataclass(frozen=True, eq=False)
class RoundedLayer:
    """A layer in the rounded network: its node there, and what its weights may be.

    grid: the integers of weights, by their steps.
    bias_steps: those of the bias [M]; None where it has none.
    """

    node: str
    grid: Grid
    bias_steps: DoubleArray | None = None


@dataclass(frozen=True, eq=False)
class Integers:
    """Weights in the shape of the layer's, and biases [M], as multiples of their steps."""

    weight: IntArray
    bias: IntArray | None = None


def round_in_order(
    dense: Model,
    network: Model,
    layers: Mapping[str, RoundedLayer],
    fed: Fed,
    *,
    seed: int = 0,
    reporter: Reporter = SILENT,
) -> Mapping[str, Integers]:
    """The integers of `layers`, by their names in `dense`.

    `network` has the tensors of `dense` rounded, as its operators say, and the weights that the
    steps give to their integers as initializers of their own. Both take several samples at once;
    `fed` are their inputs, chunk by chunk. Layers whose weights others read, or whose order in the
    two differs, are left out.
    """
    own = {layer.name: layer for layer in own_layers(dense) if layer.name in layers}
    names = {layers[name].node: name for name in own}
    ahead = _Side(Walk.begin(Stages(dense, own), fed))
    behind = _Side(Walk.begin(Stages(network, names), fed, optimized=False))
    found: dict[str, Integers] = {}
    for node in behind.order:
        name = names[node]
        if not (ahead.go_to(name) and behind.go_to(node)):
            continue
        layer, there = own[name], layers[name]
        sums = _sums(behind, ahead, layer, seed + len(found))
        weights = dense.initializers[layer.weight]
        problem = replace(sums.problem(weights), target=None, energy=None)
        with threads_for(float(layer.weight_count * layer.columns)):
            integers = rounded(problem, there.grid)
        values = integers * there.grid.steps[:, :, None]
        weight, *bias = behind.node.inputs[1:3]
        arrays = {weight: values.reshape(layer.weight_shape).astype(np.float32)}
        biases = None
        if bias and there.bias_steps is not None:
            biases = np.rint(sums.bias(values) / there.bias_steps).astype(np.int64)
            arrays[bias[0]] = (biases * there.bias_steps).astype(np.float32)
        behind.walk.change(arrays)
        found[name] = Integers(integers.reshape(layer.weight_shape), biases)
        reporter.phase("rounding layers in order", len(found) / len(own))
    return found


class _Side:
    """A walk that goes from one layer to the next."""

    def __init__(self, walk: Walk) -> None:
        self.walk = walk
        places = ((i, walk.stages.layer(i)) for i in range(len(walk.stages)))
        self._places = {name: index for index, name in places if name is not None}
        self.index = 0

    @property
    def order(self) -> tuple[str, ...]:
        """The layers, by name."""
        return tuple(self._places)

    @property
    def node(self) -> Node:
        """That of the layer."""
        return self.walk.stages.nodes[self.index][0]

    def go_to(self, name: str) -> bool:
        """Past all that comes before the layer; False where that would be back."""
        target = self._places[name]
        if target < self.index:
            return False
        for index in range(self.index, target):
            self.walk.move_on(index)
        self.index = target
        return True


def _sums(inputs: _Side, outputs: _Side, layer: ConvLayer, seed: int) -> MomentSums:
    """Moments of what a layer is given, and of what it is to make of it."""
    sums, places = MomentSums(layer), Places(layer, inputs.walk.samples, seed)
    given = inputs.walk.each(inputs.index - 1, inputs.node.inputs[0])
    wanted = outputs.walk.each(outputs.index, outputs.node.outputs[0])
    for (x,), (y,) in zip(given, wanted, strict=True):
        sums.add(x, y, places.some())
    return sums
