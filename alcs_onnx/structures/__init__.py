"""Structures of sparsity: which weights are kept or removed together.

Each comes with the grouping that importance scores need; `largest_groups` gives the Euclidean
projection onto the weights that have only some groups. Weights are [M, C/group, *kernel]
throughout.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alcs_onnx.lazy import exports
from alcs_onnx.structures.registry import RANKED, STRUCTURES, get_structure, structure_sequence

if TYPE_CHECKING:
    from alcs_onnx.structures.base import Structure, largest_groups
    from alcs_onnx.structures.prunable import reason_dense
    from alcs_onnx.structures.simd import SimdStructure
else:
    __getattr__ = exports(
        __name__,
        {
            "base": ["Structure", "largest_groups"],
            "prunable": ["reason_dense"],
            "simd": ["SimdStructure"],
        },
    )

__all__ = [
    "RANKED",
    "STRUCTURES",
    "SimdStructure",
    "Structure",
    "get_structure",
    "largest_groups",
    "reason_dense",
    "structure_sequence",
]
