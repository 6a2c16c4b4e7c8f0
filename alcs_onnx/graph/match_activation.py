"""What becomes of a tensor: an activation that our convolutions can take over, or not.

An activation is one node, by its operator, or a gate in several: the tensor x is read twice then,
by the product, and by a chain of nodes that computes the other factor. Exporters write the same
gate in many ways, so a chain is not compared node by node but reduced to what it computes, a
`Factor`, as are those of the registry.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf, isclose

import numpy as np

from alcs_onnx.graph.activations import GATES, OPERATORS, Gate
from alcs_onnx.graph.editor import GraphEditor
from alcs_onnx.graph.surgeon import Node, Tensor, constant
from alcs_onnx.op_traits import UNARY
from alcs_onnx.types import Activation

#: Relative difference up to which a constant is the one meant: 1/6 is written in few digits.
_TOLERANCE = 1e-6
#: Nodes between x and its product in the longest known spelling, and one to spare.
_LONGEST = 5


@dataclass(frozen=True)
class Factor:
    """clip(scale * f(x) + shift, low, high); f applies the operators of `functions` in turn."""

    scale: float = 1.0
    shift: float = 0.0
    low: float = -inf
    high: float = inf
    functions: tuple[str, ...] = ()

    def times(self, c: float) -> Factor:
        """The product with a positive constant."""
        return replace(
            self, scale=self.scale * c, shift=self.shift * c, low=self.low * c, high=self.high * c
        )

    def plus(self, c: float) -> Factor:
        """The sum with a constant."""
        return replace(self, shift=self.shift + c, low=self.low + c, high=self.high + c)

    def within(self, low: float, high: float) -> Factor | None:
        """Bounded further; None where nothing of the range would be left."""
        low, high = max(low, self.low), min(high, self.high)
        return replace(self, low=low, high=high) if low < high else None

    def near(self, other: Factor) -> bool:
        """Whether both are the same function but for the rounding of constants."""
        pairs = ((getattr(self, n), getattr(other, n)) for n in ("scale", "shift", "low", "high"))
        return self.functions == other.functions and all(
            isclose(a, b, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE) for a, b in pairs
        )


@dataclass(frozen=True)
class FoundActivation:
    """An activation that was found: the nodes that compute it, and the tensor that holds it."""

    name: str
    activation: Activation
    output: Tensor
    nodes: tuple[Node, ...]


def _number(tensor: Tensor, rank: int) -> float | None:
    """A constant that holds one number, and does not add axes to a tensor of `rank` axes."""
    array = constant(tensor)
    if array is None or array.size != 1 or array.ndim > rank:
        return None
    return float(array.reshape(-1)[0])


def _other_number(node: Node, tensor: Tensor) -> float | None:
    """The constant operand of a node whose other operand is `tensor`."""
    others = [other for other in node.inputs if other is not tensor]
    rank = len(tensor.shape or ())
    return _number(others[0], rank) if len(others) == len(node.inputs) - 1 == 1 else None


def _bound(node: Node, index: int, default: float) -> float | None:
    tensor = node.input(index)
    return default if tensor is None else _number(tensor, 0)


def _after(node: Node, tensor: Tensor, factor: Factor) -> Factor | None:
    """What `node` makes of a factor that it reads as `tensor`; None for anything else."""
    if node.domain != "":
        return None
    first = node.input(0) is tensor
    if node.op in UNARY and node.op != "Clip":
        return _after_unary(node, factor)
    if node.op == "Clip":
        low, high = _bound(node, 1, -inf), _bound(node, 2, inf)
        return None if not first or low is None or high is None else factor.within(low, high)
    number = _other_number(node, tensor)
    if number is None or not np.isfinite(number):
        return None
    if node.op == "Add":
        return factor.plus(number)
    if node.op == "Min":
        return factor.within(-inf, number)
    if node.op == "Max":
        return factor.within(number, inf)
    if node.op == "Mul" and number > 0:
        return factor.times(number)
    return factor.times(1 / number) if node.op == "Div" and first and number > 0 else None


def _after_unary(node: Node, factor: Factor) -> Factor | None:
    if node.op == "HardSigmoid":
        alpha, beta = node.float_attribute("alpha", 0.2), node.float_attribute("beta", 0.5)
        return factor.times(alpha).plus(beta).within(0.0, 1.0) if alpha > 0 else None
    if node.op == "Relu":
        return factor.within(0.0, inf)
    if factor == Factor(functions=factor.functions) and not node.attrs:
        return Factor(functions=(*factor.functions, node.op))
    return None


def _factor_of(gate: Gate) -> Factor:
    factor = Factor()
    for call in gate.factor:
        after = _after_unary(Node(call.op_type, attrs=dict(call.attributes), domain=""), factor)
        if after is None:
            raise ValueError(f"{gate.name}: {call.op_type} is no part of a factor")
        factor = after
    return factor


_FACTORS = [(gate, _factor_of(gate)) for gate in GATES.values()]


def _gate_of(factor: Factor) -> Gate | None:
    return next((gate for gate, known in _FACTORS if factor.near(known)), None)


def match_activation(editor: GraphEditor, x: Tensor) -> FoundActivation | str | None:
    """The activation of `x`, if that is all that becomes of x.

    The reason why it cannot be taken over where it is none that the op can do, and None where what
    reads x is no activation.
    """
    return _match_gate(editor, x) or _match_operator(editor, x)


def _match_operator(editor: GraphEditor, x: Tensor) -> FoundActivation | str | None:
    node = editor.only_consumer(x)
    read = OPERATORS.get(node.op) if node is not None and node.domain == "" else None
    if node is None or read is None:
        return None
    if node.inputs[0] is not x or node.reads(x) > 1:
        return f"{node.op} reads it as a parameter"
    activation = read(node)
    if isinstance(activation, str):
        return f"{node.op}: {activation}"
    return FoundActivation(node.op, activation, node.outputs[0], (node,))


def _match_gate(editor: GraphEditor, x: Tensor) -> FoundActivation | None:
    readers = editor.consumers(x)
    if editor.is_output(x) or len(readers) != 2:
        return None
    for product, node in (readers, readers[::-1]):
        if product.is_op("Mul") and product.reads(x) and node.reads(x) == 1:
            found = _match_product(editor, x, product, node)
            if found is not None:
                return found
    return None


def _match_product(
    editor: GraphEditor, x: Tensor, product: Node, node: Node
) -> FoundActivation | None:
    """The gate x * f(x), where `node` begins the computation of f and `product` is the product."""
    nodes: list[Node] = []
    tensor, factor = x, Factor()
    while node is not product:
        after = _after(node, tensor, factor)
        following = editor.only_consumer(node.outputs[0])
        if after is None or following is None or len(nodes) == _LONGEST:
            return None
        nodes.append(node)
        tensor, factor, node = node.outputs[0], after, following
    nodes.append(product)
    gate, output = _gate_of(factor), product.outputs[0]
    scaling = editor.only_consumer(output)
    if gate is None and scaling is not None and scaling.op in ("Mul", "Div"):
        # x * f(x) / 6 is x * (f(x) / 6).
        scaled = _after(scaling, output, factor)
        gate = _gate_of(scaled) if scaled is not None else None
        nodes.append(scaling)
        output = scaling.outputs[0]
    if gate is None:
        return None
    return FoundActivation(gate.name, Activation(gate=gate.number), output, tuple(nodes))
