"""Structures by name. Each is one row here: it is then a structure of `compress` and
`compare-structures` and, unless it is a pattern, a method of `optimize` and `profile` and a column
of `inspect sparsity`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alcs_onnx.errors import AlcsError
from alcs_onnx.registry import Registry, Row

if TYPE_CHECKING:
    from alcs_onnx.structures.base import Structure

STRUCTURES: Registry[Structure] = Registry(
    "structure",
    __name__,
    {
        "simd": Row("simd:SIMD", "groups of weights of adjacent output channels"),
        "block": Row("block:BLOCK", "blocks of adjacent output channels by four input channels"),
        "unstructured": Row("axes:UNSTRUCTURED", "single weights"),
        "filter": Row("axes:FILTER", "rows of a layer's weight matrix"),
        "channel": Row("axes:CHANNEL", "all that a layer has of an input channel"),
        "shape": Row("axes:SHAPE", "columns of a layer's weight matrix"),
        "n:4": Row("pattern:N_OF_4", "as many of every four adjacent input channels, 50% = 2:4"),
    },
)

#: Structures that keep a number of weights in each run, not in a layer. Nothing that ranks groups
#: applies, and a CPU runs single weights as fast.
PATTERNS = frozenset({"n:4"})
#: The others.
RANKED = tuple(name for name in STRUCTURES if name not in PATTERNS)


def get_structure(name: str, simd_group: int) -> Structure:
    """The structure of that name for a SIMD group size; raises `AlcsError` for an unknown one."""
    return STRUCTURES.named(name).sized(simd_group)


def structure_sequence(text: str, simd_group: int) -> tuple[Structure, ...]:
    """The structures of a combination such as `shape+filter`, in the order of pruning.

    A combination is pruned one structure after the other, each within what the one before has
    left: rows and columns of the GEMM matrix in ADAM-ADMM section 4.5, columns first and then
    filters in ADMM-NN-S section 6. Raises `AlcsError` for an unknown or repeated name, and for a
    pattern among others: what they leave of a run is no whole number.
    """
    names = text.split("+")
    if len(set(names)) != len(names):
        raise AlcsError(f"structure '{text}' names one structure twice")
    patterns = PATTERNS.intersection(names)
    if patterns and len(names) > 1:
        raise AlcsError(f"structure '{text}': {min(patterns)} cannot be joined with others")
    return tuple(get_structure(name, simd_group) for name in names)
