"""A layer's weights as the inputs and attributes of one of our convolutions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from alcs_onnx.codebooks import get_codebook
from alcs_onnx.graph.model import Array
from alcs_onnx.packed_format import (
    OP_QUANT_CONV,
    OP_QUANT_CONV_ADD,
    pack_quantized,
    unpack_levels,
)
from alcs_onnx.sparse_format import OP_CONV, OP_CONV_ADD, blocks_view, pack
from alcs_onnx.types import ConvLayer, FloatArray, GroupMask, QuantizedWeight


@dataclass(frozen=True, eq=False)
class StoredWeights:
    """What the node of a layer gets: operator, inputs between X and bias, own attributes.

    `groups` is how many SIMD groups the node computes with.
    """

    op: str
    residual_op: str
    simd_group: int
    groups: int
    inputs: Mapping[str, Array]
    attributes: Mapping[str, int] = field(default_factory=dict)


def store_plain(
    layer: ConvLayer, weight: FloatArray, simd_group: int, keep: GroupMask | None
) -> StoredWeights:
    """Float values and positions; see `sparse_format.pack`."""
    sparse = pack(weight, layer.group, simd_group, keep)
    inputs = {"values": sparse.values, "positions": sparse.positions}
    return StoredWeights(OP_CONV, OP_CONV_ADD, simd_group, sparse.stored_groups, inputs)


def store_packed(
    layer: ConvLayer, weight: QuantizedWeight, simd_group: int, keep: GroupMask | None
) -> StoredWeights:
    """Codes and relative indices; see `packed_format.pack_quantized`.

    A binary layer that has pruned weights inside stored groups is stored as the ternary one that
    it is.
    """
    if _zeros_inside_groups(weight, layer.group, simd_group, keep) and weight.codebook == _BINARY:
        weight = QuantizedWeight(weight.levels, weight.scale, get_codebook("ternary"))
    packed = pack_quantized(weight, layer.group, simd_group, keep)
    return StoredWeights(
        OP_QUANT_CONV,
        OP_QUANT_CONV_ADD,
        simd_group,
        unpack_levels(packed)[0].size,
        {"codes": packed.codes, "gaps": packed.gaps, "scales": packed.scales},
        {
            "bits": packed.bits,
            "index_bits": packed.index_bits,
            "stored": packed.stored,
            "first_level": packed.first_level,
            "level_step": packed.level_step,
        },
    )


_BINARY = get_codebook("binary")


def _zeros_inside_groups(
    weight: QuantizedWeight, group: int, simd_group: int, keep: GroupMask | None
) -> bool:
    """Whether a weight that is no padding is 0 in a group with others that are not."""
    found = blocks_view(weight.levels, group, simd_group) != 0
    real = blocks_view(np.ones(weight.levels.shape, np.bool_), group, simd_group)
    mixed = found.any(axis=2) & (~found & real).any(axis=2)
    return bool((mixed if keep is None else mixed & keep).any())
