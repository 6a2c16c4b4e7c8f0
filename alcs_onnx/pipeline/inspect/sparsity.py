"""How the zeros of each layer lie."""

from __future__ import annotations

import numpy as np

from alcs_onnx.graph.model import Array
from alcs_onnx.pipeline.inspect.result import LayerSparsity, SparsityFacts
from alcs_onnx.pipeline.inspect.subject import Subject
from alcs_onnx.pipeline.inspect.weights import FileWeight, weight_count
from alcs_onnx.sparse_format import largest_fitting
from alcs_onnx.structures import RANKED, get_structure

#: The pattern of semi-structured sparsity: two zeros in every four weights.
_PATTERN = "2:4"
_RUN, _ZEROS = 4, 2


def sparsity_facts(subject: Subject, simd_group: int) -> SparsityFacts:
    """All layers with constant weights, with SIMD groups of `simd_group` weights.

    Layers of optimized files are looked at in the group size in which they are stored.
    """
    layers = tuple(_layer(weight, simd_group) for weight in subject.weights.values())
    weights = sum(layer.weights for layer in layers)
    return SparsityFacts(
        layers=layers,
        simd_group=simd_group,
        weights=weights,
        nonzero=sum(layer.nonzero for layer in layers),
        zeros={
            name: sum(layer.zeros[name] * layer.weights for layer in layers) / max(weights, 1)
            for name in (*RANKED, _PATTERN)
        },
    )


def _layer(weight: FileWeight, simd_group: int) -> LayerSparsity:
    kept = weight.kept()
    layer = weight.layer(kept.shape)
    g = weight.simd_group or largest_fitting(layer.rows_per_group, simd_group)
    if weight.nonzero == weight_count(weight):
        zeros = dict.fromkeys((*RANKED, _PATTERN), 0.0)
    else:
        zeros = {
            name: 1.0 - float(get_structure(name, g).group_mask(kept, layer).mean())
            for name in RANKED
        }
        zeros[_PATTERN] = _semi_structured(kept)
    return LayerSparsity(
        layer=weight.node.name,
        node=weight.node.name,
        weight_shape=tuple(kept.shape),
        weights=weight_count(weight),
        nonzero=weight.nonzero,
        zeros=zeros,
        stored=weight.stored,
        simd_group=g,
        bits=weight.bits,
        stored_bytes=weight.stored_bytes,
    )


def _semi_structured(kept: Array) -> float:
    """Share of the whole runs of four input channels that have two zeros or more."""
    by_channel = np.moveaxis(kept, 1, -1)
    runs = by_channel.shape[-1] // _RUN
    if not runs:
        return 0.0
    split = by_channel[..., : runs * _RUN].reshape(-1, _RUN)
    return float((np.count_nonzero(split, axis=1) <= _RUN - _ZEROS).mean())
