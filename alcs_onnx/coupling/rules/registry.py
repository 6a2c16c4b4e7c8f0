"""The table of coupling rules: what an operator does to channels, one registration each.

A rule links the channels of the node's tensors. Where attributes or constant inputs count
channels, it also says what they become when some are removed. An operator without a rule
freezes what it touches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from alcs_onnx.coupling.linker import Linker
from alcs_onnx.graph import AttributeValue, Model, Node
from alcs_onnx.graph.model import Array
from alcs_onnx.op_traits import qualified
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

    def shape(self, tensor: str) -> Shape:
        """The shape of an activation afterwards."""
        ...

    def value(self, tensor: str) -> Array | None:
        """A constant, or what comes of sizes alone at the measured sizes; None for all else."""
        ...


@dataclass(frozen=True, eq=False)
class Override:
    """Numbers of an integer tensor that is computed at run time: `values` where `entries` is True.

    The others stay as they are computed. Both are as long as the tensor.
    """

    entries: BoolArray
    values: Array


@dataclass(frozen=True)
class Changes:
    """What a node becomes: attributes set or dropped, constants in place of inputs, or none.

    `overrides` are by the index of an input that is computed at run time. With `operator` the
    node becomes that: of its inputs the first and `inputs` stay, of its attributes `attributes`.
    """

    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    inputs: Mapping[int, Array] = field(default_factory=dict)
    drop_attributes: tuple[str, ...] = ()
    overrides: Mapping[int, Override] = field(default_factory=dict)
    operator: str = ""


def input_changed(node: Node, kept: Kept, index: int, before: Array, after: Array) -> Changes:
    """Input `index` becomes `after`: whole where it is a constant, else where the two differ.

    Both have the element type that the input has.
    """
    after = np.asarray(after, dtype=before.dtype)
    if node.input(index) in kept.model.initializers:
        return Changes(inputs={index: after})
    if before.shape == after.shape and (before == after).all():
        return Changes()
    return Changes(overrides={index: Override(before != after, after)})


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
    #: Whether the rule asks for shapes; else it can follow channels where shapes are not known.
    needs_shapes: bool = True


#: Operator -> rule, as `op_traits.qualified` names them. THE registration of coupling rules.
RULES: dict[str, Rule] = {}


def rule_of(node: Node) -> Rule | None:
    """The rule of a node's operator, if it has one."""
    return RULES.get(qualified(node.domain, node.op_type))


def couples(
    *op_types: str,
    resize: Resize | None = None,
    reads_first: bool = True,
    reads_others: bool = False,
    needs_shapes: bool = True,
) -> Callable[[Link], Link]:
    """Register the decorated function as the rule of these operators."""

    def register(link: Link) -> Link:
        for op_type in op_types:
            if op_type in RULES:
                raise ValueError(f"{op_type} has two coupling rules")
            RULES[op_type] = Rule(
                link, resize, reads_first, reads_others or not reads_first, needs_shapes
            )
        return link

    return register
