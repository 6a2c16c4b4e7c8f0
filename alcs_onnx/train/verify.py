"""Proof that the torch module computes what the runtime computes, before it is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from alcs_onnx.differences import relative_difference
from alcs_onnx.errors import AlcsError
from alcs_onnx.graph import Model, serialize, with_outputs
from alcs_onnx.train.module import OnnxModule

Array = npt.NDArray[Any]
Feeds = Mapping[str, Array]

#: Evaluates a model at the given inputs and returns the named tensors.
Reference = Callable[[Model, Feeds, Sequence[str]], Mapping[str, Array]]

TOLERANCE = 1e-4


def runtime_reference(model: Model, feeds: Feeds, names: Sequence[str]) -> Mapping[str, Array]:
    """The named tensors of `model` by ONNX Runtime, intermediate ones included."""
    from alcs_onnx import ort

    session = ort.create_session(with_outputs(serialize(model), names), library=False)
    return ort.run(session, feeds)


def random_feeds(model: Model, seed: int = 0) -> dict[str, Array]:
    """Normally distributed float inputs and zero integers, at the model's own shapes."""
    generator = np.random.default_rng(seed)
    return {
        info.name: (
            generator.standard_normal(info.shape).astype(info.dtype)
            if np.issubdtype(info.dtype, np.floating)
            else np.zeros(info.shape, info.dtype)
        )
        for info in model.inputs
    }


def verify(
    model: Model,
    reference: Reference = runtime_reference,
    *,
    seed: int = 0,
) -> float:
    """Compare torch with `reference` and return the largest relative difference of an output.

    Raises `AlcsError` naming the first node, in topological order, whose output differs by
    more than `TOLERANCE` relative to its largest absolute value. Intermediate tensors are
    only looked at when an output differs.
    """
    inputs = random_feeds(model, seed)
    arguments = [torch.from_numpy(np.array(inputs[info.name])) for info in model.inputs]
    names = [info.name for info in model.outputs]
    with torch.no_grad():
        outputs = OnnxModule(model)(*arguments)
    expected = reference(model, inputs, names)
    worst = max(
        relative_difference(tensor.numpy(), np.asarray(expected[name]))
        for name, tensor in zip(names, outputs, strict=True)
    )
    if worst <= TOLERANCE:
        return worst
    raise AlcsError(_first_difference(model, reference, inputs, arguments, worst))


def _first_difference(
    model: Model,
    reference: Reference,
    inputs: Feeds,
    arguments: Sequence[torch.Tensor],
    worst: float,
) -> str:
    known = {info.name for info in model.outputs} | (set(model.shapes) & set(model.dtypes))
    names = [name for node in model.nodes for name in node.outputs if name in known]
    expected = reference(model, inputs, names)
    actual = OnnxModule(model, inplace=False).tensors(*arguments)
    for node in model.nodes:
        for name in node.outputs:
            if name not in expected:
                continue
            gap = relative_difference(actual[name].numpy(), np.asarray(expected[name]))
            if gap > TOLERANCE:
                return (
                    f"torch and the runtime first differ at node '{node.name}' "
                    f"({node.op_type}): relative difference {gap:.2g} of '{name}', "
                    f"allowed {TOLERANCE:.2g}"
                )
    return f"torch and the runtime differ by {worst:.2g} at the outputs, allowed {TOLERANCE:.2g}"
