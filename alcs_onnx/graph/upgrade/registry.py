"""The table of upgrade rules: what a new version of an operator changed, one registration each.

    @upgrades("Clip", below=11)
    def clip(node: NodeUpgrade) -> None:
        ...

A rule edits one node that was written for an opset before `below` so that it computes the same
under opset `below`. A node runs through all rules of its operator, oldest first, up to the opset
that the model rises to. An operator without a rule means the same in every opset on the way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from alcs_onnx.graph.upgrade.node import NodeUpgrade

Apply = Callable[[NodeUpgrade], None]


@dataclass(frozen=True)
class Rise:
    """From the opset that a node was written for to the one that it is to be of."""

    version: int
    to: int


@dataclass(frozen=True)
class Rule:
    """One row: turns a node of an opset before `below` into nodes of opset `to`."""

    below: int
    to: int
    apply: Apply


#: operator of the default domain -> its rules, oldest first. THE registration of upgrade rules.
RULES: dict[str, list[Rule]] = {}


def upgrades(op_type: str, *, below: int, to: int | None = None) -> Callable[[Apply], Apply]:
    """Register the decorated function as the rule of `op_type` for opsets before `below`.

    `to` is the opset that the result is written in, where that is not `below`.
    """

    def register(apply: Apply) -> Apply:
        rules = RULES.setdefault(op_type, [])
        if any(rule.below == below for rule in rules):
            raise ValueError(f"{op_type} has two upgrade rules for opsets before {below}")
        rules.append(Rule(below, below if to is None else to, apply))
        rules.sort(key=lambda rule: rule.below)
        return apply

    return register


def next_rule(op_type: str, rise: Rise) -> Rule | None:
    """The first rule that a node of `op_type` needs on its way; None if it means the same."""
    rules = RULES.get(op_type, ())
    return next((rule for rule in rules if rise.version < rule.below <= rise.to), None)
