"""Structures of sparsity: which weights are kept or removed together.

Each comes with the grouping that importance scores need; `project` and `largest_groups` give
the Euclidean projections onto the weights that have only some groups. Weights are
[M, C/group, *kernel] throughout.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alcs_onnx.lazy import exports
from alcs_onnx.structures.registry import STRUCTURES, get_structure, structure_sequence

if TYPE_CHECKING:
    from alcs_onnx.structures.axes import AxisStructure
    from alcs_onnx.structures.base import Structure, largest_groups, project
    from alcs_onnx.structures.prunable import reason_dense
    from alcs_onnx.structures.simd import SimdStructure
else:
    __getattr__ = exports(
        __name__,
        {
            "axes": ["AxisStructure"],
            "base": ["Structure", "largest_groups", "project"],
            "prunable": ["reason_dense"],
            "simd": ["SimdStructure"],
        },
    )

__all__ = [
    "STRUCTURES",
    "AxisStructure",
    "SimdStructure",
    "Structure",
    "get_structure",
    "largest_groups",
    "project",
    "reason_dense",
    "structure_sequence",
]
