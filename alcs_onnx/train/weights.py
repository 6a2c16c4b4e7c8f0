"""Which initializers of a model are trained, and why others that look like weights are not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from alcs_onnx.errors import ModelError
from alcs_onnx.graph import Model
from alcs_onnx.train.operators import Build, find


@dataclass(frozen=True)
class Weights:
    """Initializers by what training does with them.

    trained: they become parameters.
    frozen: weights that keep their values, each with the reason: in another role the same numbers
        would have to change in another way, or not at all.
    """

    trained: frozenset[str]
    frozen: Mapping[str, str] = field(default_factory=dict)


def weights_of(model: Model) -> Weights:
    """The float32 initializers that feed a weight-like input of a node (its operator says which).

    Raises `UnsupportedError`, naming the node, for an operator that cannot be trained.
    """
    roles: dict[str, dict[tuple[str, int], str]] = {}
    other: dict[str, str] = {}
    for node in model.nodes:
        build = Build(node, model)
        parameters = set(find(node, model.opset).parameter_inputs(build))
        told = f"node '{node.name}' ({node.op_type})"
        for index, name in enumerate(node.inputs):
            if name in model.initializers and index in parameters and _is_weight(model, name):
                roles.setdefault(name, {}).setdefault((node.op_type, index), told)
            elif name in model.initializers:
                other.setdefault(name, f"{told} reads it as input {index}, which is not trained")
    frozen: dict[str, str] = {}
    for name, found in roles.items():
        if model.is_output(name):
            frozen[name] = "it is an output of the model, too"
        elif name in other:
            frozen[name] = other[name]
        elif len(found) > 1:
            told_of = [f"input {index} of {told}" for (_, index), told in found.items()]
            frozen[name] = f"it is {' and '.join(told_of[:2])}"
    return Weights(frozenset(roles) - frozenset(frozen), frozen)


def check_finite(model: Model) -> None:
    """Raise `ModelError` for a weight with NaN or infinite values: no step could mend it."""
    weights = weights_of(model)
    for name in (*sorted(weights.trained), *weights.frozen):
        bad = ~np.isfinite(model.initializers[name])
        if bad.any():
            readers = ", ".join(f"'{node.name}'" for node in model.consumers(name))
            raise ModelError(
                f"initializer '{name}' of node {readers} holds {int(bad.sum())} NaN or infinite "
                f"values of {bad.size}: the model cannot be trained"
            )


def _is_weight(model: Model, name: str) -> bool:
    array = model.initializers[name]
    return array.dtype == np.float32 and array.size > 0
