"""Batches of data as torch computes with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from alcs_onnx.data import Batch


@dataclass(frozen=True, eq=False)
class TensorBatch:
    """A `Batch` whose inputs, and targets where they are arrays, are tensors on one device."""

    inputs: tuple[Tensor, ...]
    size: int
    targets: Any = None

    @classmethod
    def of(cls, batch: Batch, device: str = "cpu") -> TensorBatch:
        """`batch` on `device`; on the CPU the memory is shared. Other targets stay as they are."""
        targets = batch.targets
        if isinstance(targets, np.ndarray):
            targets = _tensor(targets)
        if isinstance(targets, Tensor):
            targets = targets.to(device)
        return cls(tuple(_tensor(x).to(device) for x in batch.inputs), batch.size, targets)


def _tensor(array: npt.NDArray[Any]) -> Tensor:
    # torch shares neither what is read-only nor what runs backwards.
    if not array.flags.writeable or any(stride < 0 for stride in array.strides):
        array = array.copy()
    return torch.from_numpy(array)
