"""Arrays of whatever holds numbers, tensors of torch included, without importing torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def to_array(value: Any) -> Array:
    """An array, a tensor on any device, or nested sequences of numbers as an array.

    A tensor on the CPU shares its memory. numpy has no bfloat16, so that comes as float32. Raises
    `TypeError` or `ValueError` for what is none of these.
    """
    if hasattr(value, "detach"):
        tensor = value.detach().cpu()
        if str(tensor.dtype) == "torch.bfloat16":
            tensor = tensor.float()
        array: Array = tensor.numpy()
        return array
    array = np.asarray(value)
    if array.dtype.kind == "O":
        raise TypeError(f"{type(value).__name__} is no array of numbers")
    return array
