"""Structures of sparsity: which weights are kept or removed together.

Each comes with the grouping that importance scores need; `largest_groups` gives the Euclidean
projection onto the weights that have only some groups. Weights are [M, C/group, *kernel]
throughout.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from alcs_onnx.errors import AlcsError
from alcs_onnx.structures.axes import CHANNEL, FILTER, SHAPE, UNSTRUCTURED
from alcs_onnx.structures.base import Structure, largest_groups
from alcs_onnx.structures.prunable import reason_dense
from alcs_onnx.structures.simd import SimdStructure

__all__ = [
    "STRUCTURES",
    "SimdStructure",
    "Structure",
    "get_structure",
    "largest_groups",
    "reason_dense",
    "structure_sequence",
]

#: name -> what makes the structure for a SIMD group size. THE registration of structures.
STRUCTURES: Mapping[str, Callable[[int], Structure]] = {
    "simd": SimdStructure,
    "unstructured": lambda _: UNSTRUCTURED,
    "filter": lambda _: FILTER,
    "channel": lambda _: CHANNEL,
    "shape": lambda _: SHAPE,
}


def get_structure(name: str, simd_group: int) -> Structure:
    """The structure of that name; raises `AlcsError` for an unknown one."""
    if name not in STRUCTURES:
        raise AlcsError(f"structure '{name}' is not known: use {', '.join(sorted(STRUCTURES))}")
    return STRUCTURES[name](simd_group)


def structure_sequence(text: str, simd_group: int) -> tuple[Structure, ...]:
    """The structures of a combination such as `shape+filter`, in the order of pruning.

    A combination is pruned one structure after the other, each within what the one before has
    left: rows and columns of the GEMM matrix in ADAM-ADMM section 4.5, columns first and then
    filters in ADMM-NN-S section 6. Raises `AlcsError` for an unknown or repeated name.
    """
    names = text.split("+")
    if len(set(names)) != len(names):
        raise AlcsError(f"structure '{text}' names one structure twice")
    return tuple(get_structure(name, simd_group) for name in names)
