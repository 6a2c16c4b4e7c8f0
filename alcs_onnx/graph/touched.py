"""What of a model is to take the place of what its file has."""

from __future__ import annotations

import numpy as np

from alcs_onnx.graph.model import Array, Model, Node


def touched_nodes(model: Model, base: Model) -> set[str]:
    """The nodes of `model` that are not, with all their constants, those of `base`.

    Those that are to be written in any case (`Model.written`) are among them.
    """
    before = {node.name: node for node in base.nodes}
    same_arrays: dict[str, bool] = {}

    def same(name: str) -> bool:
        if name not in same_arrays:
            same_arrays[name] = same_array(
                model.initializers.get(name), base.initializers.get(name)
            )
        return same_arrays[name]

    return {
        node.name
        for node in model.nodes
        if node.name in model.written
        or node.name not in before
        or not _same_node(node, before[node.name])
        or not all(same(name) for name in node.reads)
    }


def same_array(one: Array | None, other: Array | None) -> bool:
    """Whether two constants are equal bit for bit, or both absent."""
    if one is other:
        return True
    if one is None or other is None or one.dtype != other.dtype or one.shape != other.shape:
        return False
    return one.tobytes() == other.tobytes() if one.dtype != object else bool((one == other).all())


def _same_node(one: Node, other: Node) -> bool:
    if one is other:
        return True
    if (one.op_type, one.domain, one.inputs, one.outputs) != (
        other.op_type,
        other.domain,
        other.inputs,
        other.outputs,
    ):
        return False
    if one.attributes.keys() != other.attributes.keys():
        return False
    return all(_same_value(v, other.attributes[k]) for k, v in one.attributes.items())


def _same_value(one: object, other: object) -> bool:
    if isinstance(one, np.ndarray):
        return isinstance(other, np.ndarray) and same_array(one, other)
    return type(one) is type(other) and one == other
