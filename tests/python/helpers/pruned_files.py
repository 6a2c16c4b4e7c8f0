"""Files with zeros: what is written of their models, pruned, is compared with them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import numpy_helper

from alcs_onnx.coupling import Coupling
from alcs_onnx.graph import Model, conv_layers
from alcs_onnx.structures import get_structure
from alcs_onnx.types import ChannelMask, GroupMask, PruningPlan


def random_plan(model: Model, layers: set[str], rng: np.random.Generator) -> PruningPlan:
    """Half of the groups of some of `layers`."""
    structure = get_structure("simd", 4)
    keep = {
        layer.name: rng.random(structure.mask_shape(layer)) < 0.5
        for layer in conv_layers(model)
        if layer.name in layers and rng.random() < 0.7
    }
    return PruningPlan(model.digest, 4, keep, {}, 1.0)


def with_masked_weights(
    proto: onnx.ModelProto, model: Model, keep: Mapping[str, GroupMask]
) -> onnx.ModelProto:
    """The file whose planned layers each have a weight of their own, with zeros."""
    file = onnx.ModelProto()
    file.CopyFrom(proto)
    structure = get_structure("simd", 4)
    layers = {layer.name: layer for layer in conv_layers(model)}
    arrays = {t.name: numpy_helper.to_array(t) for t in file.graph.initializer}
    for node in file.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            arrays[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    for node in file.graph.node:
        if node.name in keep:
            mask = structure.weight_mask(keep[node.name], layers[node.name])
            weight = np.where(mask, arrays[node.input[1]], np.float32(0))
            node.input[1] = f"{node.name}.masked"
            file.graph.initializer.append(numpy_helper.from_array(weight, node.input[1]))
    return file


def with_ignored_channels(
    proto: onnx.ModelProto, analysed: Coupling, keep: Mapping[str, ChannelMask]
) -> onnx.ModelProto:
    """The file whose layers have zeros wherever they read a channel that `keep` gives up.

    Each layer is to have an initializer of its own as its weight, and nothing is to mix channels.
    """
    assert not analysed.mixing
    file = onnx.ModelProto()
    file.CopyFrom(proto)
    weights = {node.name: node.input[1] for node in file.graph.node if len(node.input) > 1}
    tensors = {tensor.name: tensor for tensor in file.graph.initializer}
    for slot, positions in analysed.removed(keep):
        if slot.role == "in":
            tensor = tensors[weights[slot.node]]
            weight = numpy_helper.to_array(tensor).copy()
            np.moveaxis(weight, slot.axis, 0)[positions] = 0
            tensor.CopyFrom(numpy_helper.from_array(weight, tensor.name))
    return file
