"""MatMul and Einsum: sums of products, by the letters of their axes.

A letter of the output goes through. One that only operands have is summed over: where one of them
is a constant, this is a layer, whose weights read channels; else the activations share those
channels, as queries and keys do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from alcs_onnx.coupling.linker import Linker
from alcs_onnx.coupling.rules.registry import couples
from alcs_onnx.graph import Node, told
from alcs_onnx.types import IntArray

#: A letter for each axis of an operand; empty for one that is broadcast over others.
_Term = Sequence[str]


@couples("MatMul", reads_first=False)
def matmul(linker: Linker, node: Node) -> None:
    """[..., M, K] x [..., K, N], the axes in front broadcast to each other."""
    first, second = (linker.shape(name) for name in node.inputs)
    result = linker.shape(node.outputs[0])
    rows, columns = (["m"] if len(first) > 1 else []), (["n"] if len(second) > 1 else [])
    batch = result[: len(result) - len(rows) - len(columns)]
    letters = [f"batch {axis}" for axis in range(len(batch))]

    def term(shape: Sequence[int], own: list[str]) -> list[str]:
        """Size 1 where the output has more is broadcast: no letter of the others."""
        count = len(shape) - len(own)
        pairs = zip(
            letters[len(letters) - count :], shape, batch[len(batch) - count :], strict=False
        )
        return [letter if size == full else "" for letter, size, full in pairs] + own

    terms = [term(first, [*rows, "k"]), term(second, ["k", *columns])]
    _product(linker, node, terms, [*letters, *rows, *columns])


@couples("Einsum", reads_first=False)
def einsum(linker: Linker, node: Node) -> None:
    """By its equation, with letters alone: no `...` and none twice in one operand."""
    equation = node.str_attribute("equation", "").replace(" ", "")
    left, arrow, result = equation.partition("->")
    terms = left.split(",")
    if not arrow or "." in equation or any(len(set(term)) < len(term) for term in terms):
        return _refuse(linker, node, f"has the equation '{equation}', which is not followed")
    return _product(linker, node, terms, result)


def _product(linker: Linker, node: Node, terms: Sequence[_Term], result: _Term) -> None:
    """Link the operands `node.inputs`, whose axes have the letters `terms`, and the output."""
    operands = list(zip(node.inputs, terms, strict=True))
    constants = [(name, term) for name, term in operands if linker.is_constant(name)]
    others = [(name, term) for name, term in operands if not linker.is_constant(name)]
    if not others or any(name not in linker.channels for name, _ in others):
        return _refuse(linker, node, "multiplies constants alone")
    letters = _letters(linker, node, others)
    if not letters and len(others) == 1:
        letters = _read(linker, node, others[0], constants, result)
    passed = [letter for letter in letters if letter in result]
    if len(passed) > 1:
        return _refuse(linker, node, "makes an output of two axes of channels")
    for name, term in constants:
        for axis, letter in enumerate(term):
            if letter in letters:
                role = "scale" if letter in result else "in"
                linker.use(name, axis, letters[letter], role, node)
    for letter, ids in letters.items():
        if letter not in result and not any(letter in term for _, term in constants):
            linker.mix(node, ids)
    output = node.outputs[0]
    if passed:
        return linker.set(output, result.index(passed[0]), letters[passed[0]])
    made = _made(others, constants, result)
    if made is None:
        return linker.set_frozen(output, f"{told(node)} makes an output without channels")
    name, axis, letter = made
    ids = linker.fresh(linker.shape(name)[axis])
    linker.use(name, axis, ids, "out", node)
    return linker.set(output, result.index(letter), ids)


def _letters(
    linker: Linker, node: Node, activations: Sequence[tuple[str, _Term]]
) -> Mapping[str, IntArray]:
    """The channels of each letter that has some, the same in all operands that have the letter."""
    letters: dict[str, IntArray] = {}
    for name, term in activations:
        found = linker.channels[name]
        letter = "" if found.axis is None else term[found.axis]
        if letter in letters:
            linker.link(letters[letter], found.ids)
        elif letter:
            letters[letter] = found.ids
        elif found.axis is not None:
            linker.freeze(found.ids, f"{told(node)} broadcasts them over other channels")
    for letter, ids in letters.items():
        for name, term in activations:
            axis = linker.channels[name].axis
            if letter in term and (axis is None or term[axis] != letter) and ids.size > 1:
                linker.freeze(ids, f"{told(node)} combines them with another axis of '{name}'")
    return letters


def _read(
    linker: Linker,
    node: Node,
    activation: tuple[str, _Term],
    constants: Sequence[tuple[str, _Term]],
    result: _Term,
) -> Mapping[str, IntArray]:
    """The rows of a weight that stay with an activation that has no axis of channels."""
    name, term = activation
    summed = {letter for _, other in constants for letter in other} - {"", *result}
    return {x: linker.along(name, axis, node) for axis, x in enumerate(term) if x in summed}


def _made(
    activations: Sequence[tuple[str, _Term]],
    constants: Sequence[tuple[str, _Term]],
    result: _Term,
) -> tuple[str, int, str] | None:
    """The axis of a constant that makes the channels of the output, with its letter."""
    for name, term in constants:
        for axis, letter in reversed(list(enumerate(term))):
            alone = not any(letter in other for _, other in activations)
            others = sum(letter in other for _, other in constants) == 1
            if letter and letter in result and alone and others:
                return name, axis, letter
    return None


def _refuse(linker: Linker, node: Node, what: str) -> None:
    reason = f"{told(node)} {what}"
    for name in node.inputs:
        linker.freeze_tensor(name, reason)
    linker.set_frozen(node.outputs[0], reason)
