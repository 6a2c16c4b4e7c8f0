"""Filters that are gone take the channels that only they made along: ADMM-NN-S, figure 8."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from alcs_onnx.coupling import Coupling, analyse, zero_channels
from alcs_onnx.graph import Model, conv_layers
from alcs_onnx.rewrite.shrink import shrink
from alcs_onnx.types import BoolArray, ChannelMask, GroupMask, InitializerName, IntArray, LayerName


@dataclass(frozen=True, eq=False)
class WithoutZeros:
    """A model without its redundant channels.

    `removed[group]` is how many channels of a group went; groups that lost none are absent.
    `rows[layer]` are the filters of a conv layer that are left, [M] of the model before.
    """

    model: Model
    removed: Mapping[str, int]
    rows: Mapping[LayerName, ChannelMask]


def remove_zero_channels(model: Model, coupling: Coupling | None = None) -> WithoutZeros:
    """`model` without the channels that are zero wherever a layer reads them.

    Its outputs stay the same but for rounding. Every group keeps one channel, and every layer
    its name. `coupling` is that of the model, where it has been analysed. Raises `AlcsError`
    for one of another model.
    """
    coupling = coupling or analyse(model)
    keep = {name: ~zero for name, zero in zero_channels(model, coupling).items()}
    for mask in keep.values():
        mask[0] |= not mask.any()
    keep = {name: mask for name, mask in keep.items() if not mask.all()}
    classes = coupling.kept_classes(keep)
    rows = {}
    for layer in conv_layers(model):
        made = coupling.constants.get(layer.weight, {}).get(0)
        rows[layer.name] = np.ones(layer.out_channels, np.bool_) if made is None else classes[made]
    smaller = shrink(model, coupling, keep) if keep else model
    return WithoutZeros(smaller, {n: int((~mask).sum()) for n, mask in keep.items()}, rows)


def filter_masks(
    model: Model, keep: Mapping[LayerName, GroupMask], coupling: Coupling | None = None
) -> dict[InitializerName, BoolArray]:
    """What is left of initializers without some filters: masks in their shapes, True where kept.

    `keep[layer]` is a group mask of the structure "filter": [conv groups, filters], or flat. A
    filter's bias is part of it. Where no filter is left that makes a channel, the biases go, too,
    that depthwise layers give to this channel. `coupling` as in `remove_zero_channels`.
    """
    coupling = coupling or analyse(model)
    layers = {layer.name: layer for layer in conv_layers(model)}
    masks: dict[InitializerName, BoolArray] = {}

    def clear(name: InitializerName, positions: BoolArray | IntArray) -> None:
        shape = model.initializers[name].shape
        masks.setdefault(name, np.ones(shape, np.bool_))[positions] = False

    # A bias that has another use, too, is left as it is: the channel is then not zero.
    own = {
        x.name: x.bias
        for x in layers.values()
        if x.bias and len(model.consumers(x.bias)) == 1 and not model.is_output(x.bias)
    }
    gone = {layers[name].weight: ~mask.reshape(-1) for name, mask in keep.items()}
    for name in keep:
        clear(layers[name].weight, gone[layers[name].weight])
        if name in own:
            clear(own[name], gone[layers[name].weight])
    later = {own[x.name] for x in layers.values() if x.depthwise and x.name in own}
    for group in coupling.groups:
        makers = [slot for slot in group.slots if slot.role == "out"]
        if not makers or any(s.tensor not in gone or s.axis != 0 for s in makers):
            continue
        lost = np.all([gone[s.tensor][s.indices].all(axis=1) for s in makers], axis=0)
        for slot in group.slots:
            if slot.tensor in later:
                clear(slot.tensor, slot.indices[lost].reshape(-1))
    return masks


def zero_filters(
    model: Model, keep: Mapping[LayerName, GroupMask], coupling: Coupling | None = None
) -> Model:
    """`model` at full size, zero where `filter_masks` says."""
    masks = filter_masks(model, keep, coupling)
    return model.with_initializers(
        {name: np.where(mask, model.initializers[name], 0) for name, mask in masks.items()}
    )
