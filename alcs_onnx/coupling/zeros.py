"""Which channels are zero at every pixel, whatever the input of the model is.

A filter whose weights and bias are zero makes such a channel. What follows decides whether the
layers that read it still see zeros: Relu keeps them, Sigmoid does not, and a residual Add does
where both operands are zero. A channel that is zero wherever it is read is redundant (ADMM-NN-S
section 3.2, figure 8) and can be removed without a change of the outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from alcs_onnx.coupling.analysis import Coupling
from alcs_onnx.errors import AlcsError
from alcs_onnx.graph import Model, Node
from alcs_onnx.op_traits import OPS, qualified
from alcs_onnx.op_traits import Zeros as TraitOfZeros
from alcs_onnx.types import BoolArray


class Zeros:
    """What is known to be zero so far, by class of linked channels (see `Coupling`)."""

    def __init__(self, model: Model, coupling: Coupling) -> None:
        self.model, self.coupling = model, coupling
        self._at: dict[str, BoolArray] = {}

    def positions(self, tensor: str) -> BoolArray:
        """Which positions of an activation along its channels are zero everywhere."""
        _, classes = self.coupling.activations[tensor]
        return self._at.get(tensor, np.zeros(classes.size, np.bool_))

    def record(self, tensor: str, zero: BoolArray) -> None:
        """Note the zeros of an activation that was just computed."""
        self._at[tensor] = zero

    def seen(self, tensor: str) -> tuple[BoolArray, BoolArray]:
        """The classes that a tensor has, and those that may be other than zero in it.

        A tensor without an axis of channels is part of all of them.
        """
        count = self.coupling.class_count
        has, other = np.zeros(count, np.bool_), np.zeros(count, np.bool_)
        if tensor in self.coupling.activations:
            _, classes = self.coupling.activations[tensor]
            has[classes] = True
            other[classes[~self.positions(tensor)]] = True
            return has, other
        array = self.model.initializers.get(tensor)
        axes = self.coupling.constants.get(tensor, {})
        if array is not None and len(axes) == 1:
            [(axis, classes)] = axes.items()
            found = np.moveaxis(array, axis, 0).reshape(classes.size, -1).any(axis=1)
            has[classes] = True
            other[classes[found]] = True
            return has, other
        has[:] = True
        other[:] = array is None or bool(array.any())
        return has, other


#: The classes that are zero in the outputs of a node, given what its inputs have.
_ZeroRule = Callable[[Zeros, Node], BoolArray]


def zero_channels(model: Model, coupling: Coupling) -> Mapping[str, BoolArray]:
    """The redundant channels of each group that has some: [channels], True where one is.

    Zero weights are taken as zeros for good, so this is for models that are done training.
    Groups that cannot lose channels have none. Raises `AlcsError` for a coupling of another
    model.
    """
    if coupling.topology_digest != model.topology_digest:
        raise AlcsError("the channel groups are those of another model: analyse this one")
    zeros = Zeros(model, coupling)
    read = np.zeros(coupling.class_count, np.bool_)
    for node in model.nodes:
        rule = ZERO_RULES.get(qualified(node.domain, node.op_type))
        if node.name in coupling.mixing:
            # A mean of fewer channels is another one, also where those that went were zero.
            for name in filter(coupling.activations.__contains__, node.reads):
                read[coupling.activations[name][1]] = True
        # What goes channel by channel is read by whatever comes next.
        if rule is None or rule is _conv:
            for name in filter(coupling.activations.__contains__, node.reads):
                read |= zeros.seen(name)[1]
        if rule is None:
            continue
        zero = rule(zeros, node)
        for name in node.outputs if node.is_op("Split") else node.outputs[:1]:
            if name in coupling.activations:
                zeros.record(name, zero[coupling.activations[name][1]])
    found = {group.name: ~read[coupling.members[group.name]] for group in coupling.prunable}
    return {name: mask for name, mask in found.items() if mask.any()}


def _where_all(zeros: Zeros, names: Iterable[str]) -> BoolArray:
    """Classes that some of the tensors have, and that are zero in each that has them."""
    has, other = np.zeros((2, zeros.coupling.class_count), np.bool_)
    for name in names:
        present, nonzero = zeros.seen(name)
        has |= present
        other |= nonzero
    return has & ~other


def _first(zeros: Zeros, node: Node) -> BoolArray:
    """Values that are moved or summed, or a function with f(0) = 0 of each."""
    return _where_all(zeros, node.inputs[:1])


def _all(zeros: Zeros, node: Node) -> BoolArray:
    """Zero where every operand is."""
    return _where_all(zeros, filter(None, node.inputs))


def _any(zeros: Zeros, node: Node) -> BoolArray:
    """Zero where one factor is."""
    zero = np.zeros(zeros.coupling.class_count, np.bool_)
    for name in node.inputs:
        zero |= _where_all(zeros, [name])
    return zero


def _none(zeros: Zeros, node: Node | None = None) -> BoolArray:
    """A function with f(0) other than 0, channel by channel."""
    return np.zeros(zeros.coupling.class_count, np.bool_)


def _clip(zeros: Zeros, node: Node) -> BoolArray:
    """Where 0 lies within the bounds."""
    bounds = (("min", node.input(1), -np.inf), ("max", node.input(2), np.inf))
    limits = []
    for attribute, name, default in bounds:
        constant = zeros.model.initializers.get(name)
        if name and constant is None:
            return _none(zeros)
        value = node.float_attribute(attribute, default) if constant is None else constant
        limits.append(float(np.asarray(value).item()))
    return _first(zeros, node) if limits[0] <= 0 <= limits[1] else _none(zeros)


def _pad(zeros: Zeros, node: Node) -> BoolArray:
    """Zeros around zeros, and added channels of zeros."""
    mode, value = node.str_attribute("mode", "constant"), node.input(2)
    if mode != "constant":
        return _first(zeros, node)
    constant = zeros.model.initializers.get(value)
    filled = node.float_attribute("value", 0.0) if not value else constant
    if filled is None or np.any(filled):
        return _none(zeros)
    return ~zeros.seen(node.inputs[0])[1]


def _resize(zeros: Zeros, node: Node) -> BoolArray:
    extrapolated = node.float_attribute("extrapolation_value", 0.0)
    return _first(zeros, node) if extrapolated == 0 else _none(zeros)


def _conv(zeros: Zeros, node: Node) -> BoolArray:
    """Filters whose weights are zero wherever the input is not, and whose bias is zero."""
    zero = _none(zeros)
    weight = zeros.model.initializers.get(node.input(1))
    bias = zeros.model.initializers.get(node.input(2))
    source = zeros.coupling.activations.get(node.inputs[0])
    made = zeros.coupling.activations.get(node.outputs[0])
    missing = bool(node.input(2)) and bias is None
    if weight is None or missing or made is None:
        return zero
    group = node.int_attribute("group", 1)
    rows = weight.shape[0] // group
    weights = np.any(weight.reshape(group, rows, weight.shape[1], -1), axis=3)
    if source is not None and source[0] == 1:
        weights = weights & ~zeros.positions(node.inputs[0]).reshape(group, 1, -1)
    nonzero = np.any(weights, axis=2).reshape(-1)
    if bias is not None:
        nonzero |= bias != 0
    zero[made[1]] = True
    zero[made[1][nonzero]] = False
    return zero


_BY_TRAIT: Mapping[TraitOfZeros, _ZeroRule] = {
    TraitOfZeros.KEPT: _first,
    TraitOfZeros.LOST: _none,
    TraitOfZeros.OF_ALL: _all,
    TraitOfZeros.OF_ANY: _any,
}

#: Operator (`op_traits.qualified`) -> what it leaves zero: by its trait, or the rule that is
#: registered here. All but Conv work channel by channel; operators that are not here read all
#: channels that are not zero.
ZERO_RULES: Mapping[str, _ZeroRule] = {
    **{name: _BY_TRAIT[op.zeros] for name, op in OPS.items() if op.zeros is not None},
    "Clip": _clip,
    "Conv": _conv,
    "Pad": _pad,
    "Resize": _resize,
    "Upsample": _resize,
}
