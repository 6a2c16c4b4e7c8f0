"""The table of coupling rules: what an operator does to channels, one registration each.

A rule links the channels of the node's tensors. Where attributes or constant inputs count
channels, it also says what they become when some are removed. An operator without a rule
freezes what it touches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from alcs_onnx.coupling.linker import Linker
from alcs_onnx.graph import AttributeValue, Model, Node
from alcs_onnx.graph.model import Array
from alcs_onnx.types import BoolArray, Shape


class Kept(Protocol):
    """What is left of a model's tensors, for `resize`."""

    @property
    def model(self) -> Model:
        """The model before anything is removed."""
        ...

    def along(self, tensor: str) -> tuple[int, BoolArray] | None:
        """Axis of an activation and which of its positions stay; None when all do."""
        ...

    def axis(self, constant: str, axis: int) -> BoolArray | None:
        """Which positions of a constant stay along `axis`; None when all do."""
        ...

    def shape(self, tensor: str) -> Shape:
        """The shape of an activation afterwards."""
        ...


@dataclass(frozen=True)
class Changes:
    """What a node becomes: attributes set or dropped, constants in place of inputs, or none."""

    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    inputs: Mapping[int, Array] = field(default_factory=dict)
    drop_attributes: tuple[str, ...] = ()
    drop_inputs: tuple[int, ...] = ()


Link = Callable[[Linker, Node], None]
Resize = Callable[[Node, Kept], Changes]


@dataclass(frozen=True)
class Rule:
    """One row: how channels are linked, and what removal changes in the node itself."""

    link: Link
    resize: Resize | None = None
    #: Whether the first input has to be an activation for the rule to make sense.
    reads_first: bool = True
    #: Whether the rule says what the other inputs are; else they are parameters, and frozen.
    reads_others: bool = False


#: operator of the default domain -> rule. THE registration of coupling rules.
RULES: dict[str, Rule] = {}


def couples(
    *op_types: str,
    resize: Resize | None = None,
    reads_first: bool = True,
    reads_others: bool = False,
) -> Callable[[Link], Link]:
    """Register the decorated function as the rule of these operators."""

    def register(link: Link) -> Link:
        for op_type in op_types:
            if op_type in RULES:
                raise ValueError(f"{op_type} has two coupling rules")
            RULES[op_type] = Rule(link, resize, reads_first, reads_others or not reads_first)
        return link

    return register
