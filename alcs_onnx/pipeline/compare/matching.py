"""Finds the tensors that two graphs both compute, where one was made from the other."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence

from alcs_onnx.graph import ComputedTensor

Pair = tuple[ComputedTensor, ComputedTensor]


def match_tensors(
    a: Sequence[ComputedTensor], b: Sequence[ComputedTensor]
) -> tuple[tuple[Pair, ...], str]:
    """Pairs of tensors in the order of `a`, and what they were found by; constants are left out.

    Tensors of one name are the same: fusion keeps the name of the last tensor. What is left is
    matched by nodes of one name and operator. Where nothing is found so, nodes of an operator
    that both graphs have equally often are matched in their order.
    """
    a, b = ([t for t in tensors if t.op != "Constant"] for tensors in (a, b))
    found = _pairs(a, b, lambda tensor: tensor.name)
    how = ["tensor name"] if found else []
    rest_a, rest_b = _without(a, (x for x, _ in found)), _without(b, (y for _, y in found))
    by_node = _pairs(
        [tensor for tensor in rest_a if tensor.node],
        [tensor for tensor in rest_b if tensor.node],
        lambda tensor: (tensor.node, tensor.op, tensor.position),
    )
    how += ["node name"] if by_node else []
    found += by_node
    if not found:
        found = _in_order(a, b)
        how = ["order of operators"] if found else []
    order = {tensor.name: index for index, tensor in enumerate(a)}
    return tuple(sorted(found, key=lambda pair: order[pair[0].name])), ", ".join(how)


def _pairs(
    a: Iterable[ComputedTensor],
    b: Iterable[ComputedTensor],
    key: Callable[[ComputedTensor], Hashable],
) -> list[Pair]:
    others = {key(tensor): tensor for tensor in b}
    return [(tensor, others[key(tensor)]) for tensor in a if key(tensor) in others]


def _without(
    tensors: Iterable[ComputedTensor], taken: Iterable[ComputedTensor]
) -> list[ComputedTensor]:
    names = {tensor.name for tensor in taken}
    return [tensor for tensor in tensors if tensor.name not in names]


def _in_order(a: Sequence[ComputedTensor], b: Sequence[ComputedTensor]) -> list[Pair]:
    pairs: list[Pair] = []
    for op in dict.fromkeys(tensor.op for tensor in a):
        first, second = (
            [tensor for tensor in tensors if tensor.op == op and tensor.position == 0]
            for tensors in (a, b)
        )
        pairs += zip(first, second, strict=True) if len(first) == len(second) else ()
    return pairs
