"""The operator table: how a node becomes a function of torch tensors.

An operator is added by one decorated function:

    @register("Relu")
    def relu(build: Build) -> Step:
        return torch.relu

The function runs once per node, when the module is made; what it returns runs in every
forward pass with the node's inputs in order (None for an absent one) and gives the output
tensor, or a tuple of them. Everything that is constant is therefore decided beforehand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from alcs_onnx.errors import UnsupportedError
from alcs_onnx.graph import Model, Node
from alcs_onnx.op_traits import LINEAR
from alcs_onnx.types import Shape

Step = Callable[..., Any]
Parameters = Sequence[int] | Callable[["Build"], Sequence[int]]

#: Integers of one input, given all inputs of a node.
Numbers = Callable[[Sequence[Any]], tuple[int, ...] | None]

#: Operators that need none of their own output in the backward pass.
_OVERWRITABLE = (*LINEAR, "Add")


@dataclass(frozen=True)
class Build:
    """One node and the model around it, as an operator's builder sees them."""

    node: Node
    model: Model
    inplace: bool = False

    def constant(self, index: int) -> npt.NDArray[Any] | None:
        """Input `index` as an array; None where it is absent or computed."""
        return self.model.initializers.get(self.input(index))

    def input(self, index: int) -> str:
        """Name of input `index`, "" where it is absent."""
        return self.node.inputs[index] if index < len(self.node.inputs) else ""

    def shape(self, index: int) -> Shape | None:
        """Static shape of input `index`, batch included; None when unknown."""
        return self.model.shapes.get(self.input(index))

    def attribute(self, name: str, default: Any = None) -> Any:
        """An attribute, or `default` where the node does not carry it."""
        return self.node.attributes.get(name, default)

    def text(self, name: str, default: str) -> str:
        """A string attribute."""
        value = self.attribute(name, default)
        return value.decode() if isinstance(value, bytes) else str(value)

    def ints(self, name: str, default: Sequence[int] = ()) -> tuple[int, ...]:
        """An attribute that is a list of integers."""
        value = self.attribute(name)
        return tuple(int(v) for v in (default if value is None else np.atleast_1d(value)))

    def constant_ints(self, index: int) -> tuple[int, ...] | None:
        """Input `index` as integers; None where it is absent; refused where it is computed."""
        if not self.input(index):
            return None
        value = self.constant(index)
        if value is None:
            raise self.unsupported(f"input {index} ('{self.input(index)}') is not a constant")
        return tuple(int(v) for v in np.atleast_1d(value))

    def numbers(self, index: int) -> Numbers:
        """How to read input `index` as integers from the node's inputs in a pass.

        Constants are read once, what is computed (from sizes, mostly) in every pass; None where
        the input is absent.
        """
        if not self.input(index) or self.constant(index) is not None:
            known = self.constant_ints(index)
            return lambda values: known
        return lambda values: tuple(int_list(values[index]))

    def may_overwrite(self, index: int) -> bool:
        """Whether input `index` is dead after this node and nothing needs its value."""
        name = self.input(index)
        producer = self.model.producer(name)
        return (
            self.inplace
            and producer is not None
            and producer.op_type in _OVERWRITABLE
            and len(self.model.consumers(name)) == 1
            and all(output.name != name for output in self.model.outputs)
        )

    def unsupported(self, why: str) -> UnsupportedError:
        """The error to raise when training cannot express this node."""
        return UnsupportedError(
            f"node '{self.node.name}' ({operator_name(self.node)}) cannot be trained: {why}"
        )


@dataclass(frozen=True)
class Operator:
    """A row of the table: valid from operator-set version `since` on."""

    since: int
    parameters: Parameters
    build: Callable[[Build], Step]

    def parameter_inputs(self, build: Build) -> Sequence[int]:
        """Indices of the inputs that are trained where they are float initializers."""
        return self.parameters(build) if callable(self.parameters) else self.parameters


_TABLE: dict[str, list[Operator]] = {}


def register(
    *names: str, since: int = 1, parameters: Parameters = ()
) -> Callable[[Callable[[Build], Step]], Callable[[Build], Step]]:
    """Add an operator (or several alike) to the table.

    `since` is the first operator-set version the builder is right for; the newest row not
    newer than the model's is taken. `parameters` lists the inputs that training may change,
    or computes that list from the node.
    """

    def add(builder: Callable[[Build], Step]) -> Callable[[Build], Step]:
        for name in names:
            rows = _TABLE.setdefault(name, [])
            rows.append(Operator(since, parameters, builder))
            rows.sort(key=lambda row: row.since)
        return builder

    return add


def operator_name(node: Node) -> str:
    """`Conv`, or `domain::Op` outside the standard operator set."""
    return node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}::{node.op_type}"


def find(node: Node, opset: int) -> Operator:
    """The row for `node`; raises `UnsupportedError` naming the node and its operator."""
    rows = [row for row in _TABLE.get(operator_name(node), ()) if row.since <= opset]
    if not rows:
        raise UnsupportedError(
            f"node '{node.name}' ({operator_name(node)}, operator set {opset}) "
            "cannot be trained: this operator is not in the training table"
        )
    return rows[-1]


def registered() -> tuple[str, ...]:
    """Names of all operators in the table, sorted."""
    return tuple(sorted(_TABLE))


def int_list(value: torch.Tensor) -> list[int]:
    """The integers of a computed shape-like tensor."""
    return [int(v) for v in value.reshape(-1).tolist()]
