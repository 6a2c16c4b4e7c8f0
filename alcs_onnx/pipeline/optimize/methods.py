"""Methods of `optimize` by name. Each structure of weights is one; others are one row here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from alcs_onnx.registry import Registry, Row
from alcs_onnx.structures import STRUCTURES

_OTHERS = {
    "channel": Row("channels:open_channels", "whole channels with all that is coupled to them"),
    "hybrid": Row("hybrid:open_hybrid", "channels, then SIMD groups of what is left"),
    "int8": Row("int8:open_int8", "nothing: nodes are int8 where that is quicker"),
}

#: Methods that remove groups of weights: each the structure of the same name.
GROUP_METHODS = tuple(name for name in STRUCTURES if name not in _OTHERS)

#: Methods that remove channels.
CHANNEL_METHODS = ("channel", "hybrid")

#: What opens a method for a `Run`, as a `Pruning`: measures or finds the latency table.
METHODS: Registry[Callable[[Any], Any]] = Registry(
    "method",
    __name__,
    {
        **{name: Row("groups:open_groups", STRUCTURES.summary(name)) for name in GROUP_METHODS},
        **_OTHERS,
    },
)


#: The method that tries others and takes the one that loses least.
AUTO = "auto"
#: What it tries, in this order: those that lose least for the same latency come first.
CANDIDATES = ("int8", "simd", "channel")
#: What nodes may be: "auto" leaves that to the method.
PRECISIONS = ("auto", "float32", "int8")


def has_precision(method: str, precision: str) -> bool:
    """Whether `method` may be used where nodes are to be of `precision`."""
    return precision in ("auto", "int8" if method == "int8" else "float32")


def structure_of(method: str) -> str | None:
    """The structure of the groups of weights that `method` removes; None where it removes none."""
    if method in GROUP_METHODS:
        return method
    return STRUCTURES.default if method == "hybrid" else None


def has_group_size(method: str) -> bool:
    """Whether the SIMD group size matters to `method`."""
    structure = structure_of(method)
    return structure is not None and STRUCTURES[structure].has_group_size
