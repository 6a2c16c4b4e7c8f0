"""Sizes are computed on the CPU, wherever the data is: they decide what is launched next."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor

from alcs_onnx.graph import Model, Node
from alcs_onnx.train.operators.registry import Step

#: Their further inputs are sizes, amounts and axes, which are read as Python numbers.
_READ_NUMBERS = (
    "ConstantOfShape", "Expand", "Pad", "Range", "Reshape", "Resize", "Slice", "Split", "Squeeze",
    "Tile", "Unsqueeze",
)  # fmt: skip


def computed_from_sizes(model: Model) -> frozenset[str]:
    """The tensors that are computed from shapes and constants alone."""
    found: set[str] = set()
    for node in model.nodes:
        reads = [name for name in node.reads if name not in model.initializers]
        if node.is_op("Shape", "Size") or (reads and found.issuperset(reads)):
            found.update(name for name in node.outputs if name)
    return frozenset(found)


def placed(node: Node, step: Step, sizes: Collection[str]) -> Step:
    """`step` with its operands on one device: on the CPU for what is computed from `sizes`."""
    if all(name in sizes for name in node.outputs if name):
        return step if node.is_op("Shape", "Size") else _on_cpu(step)
    reads_sizes = any(name in sizes for name in node.inputs)
    return _beside_data(step) if reads_sizes and not node.is_op(*_READ_NUMBERS) else step


def _on_cpu(step: Step) -> Step:
    return lambda *values: step(*(v.cpu() if isinstance(v, Tensor) else v for v in values))


def _beside_data(step: Step) -> Step:
    def moved(*values: Any) -> Any:
        tensors = [value for value in values if isinstance(value, Tensor)]
        cpu = torch.device("cpu")
        device = next((tensor.device for tensor in tensors if tensor.device != cpu), cpu)
        return step(*(v.to(device) if isinstance(v, Tensor) else v for v in values))

    return moved
