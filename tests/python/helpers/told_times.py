"""Latencies that are told instead of measured, for tests of what is decided by them.

Which of two small models is quicker differs from machine to machine, and with what else these do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from alcs_onnx.pipeline.common.workload import Workload
from alcs_onnx.serialized import Serialized, StoredModel

#: Operators that tell by what method a file was made.
_SIGNS = {
    b"QLinearSparseConv": "integers",
    b"DequantizeLinear": "int8",
    b"SimdSparseConv": "simd",
}


def told(times: Mapping[str, float]) -> Callable[..., list[npt.NDArray[np.float64]]]:
    """In place of `Workload.time`: milliseconds by what a file is.

    `times` is by method, "int8", "simd" or "channel", whose files are smaller than the dense one;
    all others take 1 ms. Convolutions of integers of ours, "integers", take as long as int8 does
    where nothing else is told.
    """
    times = {"integers": times["int8"], **times} if "int8" in times else times

    def time(workload: Workload, models: list[Serialized]) -> list[npt.NDArray[np.float64]]:
        return [np.full(9, _of(workload, model)) for model in models]

    def _of(workload: Workload, model: Serialized) -> float:
        content = model.path.read_bytes() if isinstance(model, StoredModel) else model
        assert isinstance(workload.original, bytes)
        found = [name for sign, name in _SIGNS.items() if sign in content]
        if len(content) < 0.95 * len(workload.original):
            found.append("channel")
        return times[found[0]] if found else 1.0

    return time
