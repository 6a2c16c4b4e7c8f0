"""Which operators work sample by sample: one registration each.

The samples lie along the first axis of a tensor, one after the other, each in one row or in
several (a grouped normalisation reshapes [N, C, H, W] to [N*G, ...]). A rule looks at one node and
tells why the rows of its result would not be made of the rows of the same samples; an empty text
where they are:

    @by_sample("Flatten")
    def flatten(call: Call) -> str:
        return call.only_data()

That the first axis of the result has the right size is checked for all operators alike.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from alcs_onnx.graph.model import Array, Model, Node
from alcs_onnx.types import Shape


@dataclass(frozen=True)
class Call:
    """One node, and which tensors of its model have a row or more for each sample."""

    node: Node
    model: Model
    batched: Collection[str]

    def is_batched(self, index: int) -> bool:
        """Whether input `index` has rows of samples."""
        return self.node.input(index) in self.batched

    @property
    def positions(self) -> tuple[int, ...]:
        """The inputs that are there."""
        return tuple(index for index, name in enumerate(self.node.inputs) if name)

    def shape(self, index: int) -> Shape:
        """The shape of input `index` at the measured sizes."""
        return self.model.shapes[self.node.input(index)]

    def constant(self, index: int) -> Array | None:
        """The value of input `index` that no size changes; None where there is none."""
        name = self.node.input(index)
        value = self.model.size_values.get(name)
        if value is not None and value.fixed:
            return value.value
        return self.model.initializers.get(name)

    def ints(self, index: int, attribute: str) -> tuple[int, ...] | None:
        """Integers that are input `index`, or an attribute in older operator sets.

        Empty where there is neither; None where they are computed from data.
        """
        if not self.node.input(index):
            return self.node.ints_attribute(attribute)
        value = self.constant(index)
        return None if value is None else tuple(int(v) for v in value.reshape(-1))

    def only_data(self) -> str:
        """What to say where another input than the first has rows of samples."""
        others = [index for index in self.positions if index and self.is_batched(index)]
        if not others:
            return ""
        return f"its input '{self.node.input(others[0])}' is another one for each sample"

    def along(self, axis: int, rank: int | None = None) -> str:
        """What to say of an operator that mixes what lies along `axis`."""
        rank = len(self.shape(0)) if rank is None else rank
        return "it works along the axis of the samples" if axis % max(rank, 1) == 0 else ""


#: May read sizes that follow the batch: their rule is about data, and the result is checked.
_TAKE_SIZES = frozenset({"ConstantOfShape", "Expand", "Reshape", "Resize", "Tile"})

Rule = Callable[[Call], str]
_RULES: dict[str, Rule] = {}


def by_sample(*op_types: str) -> Callable[[Rule], Rule]:
    """Register the rule of operators of the default domain."""

    def add(rule: Rule) -> Rule:
        _RULES.update(dict.fromkeys(op_types, rule))
        return rule

    return add


def reason_mixed(call: Call) -> str:
    """Why the node does not work sample by sample; empty where it does."""
    rule = _RULES.get(call.node.op_type) if call.node.domain == "" else None
    if rule is None:
        return "it is not known to work sample by sample"
    if any(name not in call.model.shapes for name in call.node.inputs if name):
        return "the shapes of its inputs are not known"
    if call.node.op_type not in _TAKE_SIZES:
        for name in call.node.inputs:
            value = call.model.size_values.get(name)
            if value is not None and not value.fixed and name not in call.batched:
                return f"it computes with the size '{name}', which follows the batch"
    return rule(call)
