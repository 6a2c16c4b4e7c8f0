"""Methods of `optimize` by name.

Each structure whose groups solvers rank is one; others are one row here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from alcs_onnx.registry import Registry, Row
from alcs_onnx.structures import RANKED, STRUCTURES


class Method(NamedTuple):
    """One way to a budget.

    row: what opens it for a `Run`, as a `Pruning` (measuring or finding its latency table), and
        what it removes, in a few words.
    structure: the structure of the groups of weights that it removes; None where it removes none.
    channels: whether it removes channels.
    precision: what its nodes are.
    integers: the method that does so with integers, for `--precision int8`; empty where none does.
    part: the method that it goes on from: where that reaches a budget alone, it has nothing to add.
    tried: its place among those that "auto" tries, lowest first; None where that leaves it out.
        Those that lose least for the same latency come first.
    """

    row: Row
    structure: str | None = None
    channels: bool = False
    precision: str = "float32"
    integers: str = ""
    part: str = ""
    tried: int | None = None


def _groups(structure: str) -> Method:
    """The method that removes groups of weights of `structure`, whose name it has."""
    row = Row("groups:open_groups", STRUCTURES.summary(structure))
    if structure == STRUCTURES.default:
        return Method(row, structure, integers="block-int8", tried=1)
    return Method(row, structure, integers="block-int8" if structure == "block" else "")


#: THE registration of methods.
_METHODS: dict[str, Method] = {
    **{structure: _groups(structure) for structure in RANKED},
    "channel": Method(
        Row("channels:open_channels", "whole channels with all that is coupled to them"),
        channels=True,
        integers="channel-int8",
        tried=2,
    ),
    "hybrid": Method(
        Row("hybrid:open_hybrid", "channels, then SIMD groups of what is left"),
        structure=STRUCTURES.default,
        channels=True,
    ),
    "channel-int8": Method(
        Row(
            "channel_int8:open_channel_int8", "channels, then nodes are int8 where that is quicker"
        ),
        channels=True,
        precision="int8",
        part="int8",
        tried=4,
    ),
    "simd-int8": Method(
        Row(
            "simd_int8:open_simd_int8",
            "nodes are int8 where that is quicker, then SIMD groups of what is left",
        ),
        structure=STRUCTURES.default,
        precision="int8",
        part="int8",
        tried=5,
    ),
    "block-int8": Method(
        Row(
            "block_int8:open_block_int8",
            "all that can be is int8, and convolutions lose blocks of weights",
        ),
        structure="block",
        precision="int8",
        part="int8",
        tried=3,
    ),
    "int8": Method(
        Row("int8:open_int8", "nothing: nodes are int8 where that is quicker"),
        precision="int8",
        tried=0,
    ),
}

METHODS: Registry[Callable[[Any], Any]] = Registry(
    "method", __name__, {name: method.row for name, method in _METHODS.items()}
)


def scores_groups(method: str) -> bool:
    """Whether `method` chooses among all groups of weights by their score."""
    found = _METHODS[method]
    return found.structure is not None and not found.channels


#: Methods that remove groups of weights alone: each the structure of the same name.
GROUP_METHODS = tuple(
    name for name, x in _METHODS.items() if scores_groups(name) and x.precision == "float32"
)
#: Methods that remove channels.
CHANNEL_METHODS = tuple(name for name, x in _METHODS.items() if x.channels)

#: The method that tries others and takes the one that loses least.
AUTO = "auto"
#: What it tries, in this order.
CANDIDATES = tuple(
    name
    for _, name in sorted((x.tried, name) for name, x in _METHODS.items() if x.tried is not None)
)
#: A loss (percent) that it tries no other method to better.
GOOD_ENOUGH = 1.0
#: What nodes may be: "auto" leaves that to the method.
PRECISIONS = ("auto", *sorted({x.precision for x in _METHODS.values()}))

#: What layers of groups that are refitted are given their shares by: the loss of the network's
#: outputs, the error of the layers' own, or the weights, by the `projection`.
REFITS = ("loss", "error", "weights", "off")


def has_precision(method: str, precision: str) -> bool:
    """Whether `method` may be used where nodes are to be of `precision`."""
    return precision in ("auto", precision_of(method))


def in_precision(method: str, precision: str) -> str:
    """`method`, or the one that does the same with integers where nodes are to be "int8"."""
    found = _METHODS.get(method)
    return (precision == "int8" and found is not None and found.integers) or method


def default_methods(*, judged: bool) -> tuple[str, ...]:
    """What is tried or swept where no method is named: several where it is `judged` what is lost.

    That is so where there are pictures, or data to train with.
    """
    return CANDIDATES if judged else (METHODS.default,)


def precision_of(method: str) -> str:
    """What nodes are that `method` makes."""
    return _METHODS[method].precision


def removes(method: str) -> bool:
    """Whether `method` removes something, so that what is left can be trained."""
    return _METHODS[method].channels or _METHODS[method].structure is not None


def refits(method: str) -> bool:
    """Whether pictures choose weights for `method`: those that are left, or integers for them."""
    return removes(method) or precision_of(method) == "int8"


def part_of(method: str) -> str:
    """The method that `method` goes on from; empty where there is none."""
    return _METHODS[method].part


def structure_of(method: str) -> str | None:
    """The structure of the groups of weights that `method` removes; None where it removes none.

    What "auto" comes to is not known: none.
    """
    return _METHODS[method].structure if method in _METHODS else None


def has_group_size(method: str) -> bool:
    """Whether the SIMD group size matters to `method`."""
    structure = structure_of(method)
    return structure is not None and STRUCTURES[structure].has_group_size
