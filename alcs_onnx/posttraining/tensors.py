"""Tensors of a network on many samples, chunk by chunk; beyond a bound they lie in files."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

#: Bytes that stay in memory.
MEMORY = 512 << 20


class Tensors:
    """Arrays by name and number of the chunk; those beyond `memory` bytes are kept in files."""

    def __init__(self, memory: int = MEMORY) -> None:
        self._left = memory
        self._arrays: dict[tuple[str, int], Array] = {}
        self._files: dict[tuple[str, int], Path] = {}
        self._folder = tempfile.TemporaryDirectory(prefix="alcs-", ignore_cleanup_errors=True)
        self._written = 0

    @property
    def left(self) -> int:
        """Bytes that still go into memory."""
        return self._left

    def put(self, name: str, chunk: int, array: Array) -> None:
        """Keep an array."""
        if array.nbytes <= self._left or array.dtype.hasobject:
            self._arrays[name, chunk] = array
            self._left -= array.nbytes
            return
        path = Path(self._folder.name) / f"{self._written}.npy"
        self._written += 1
        np.save(path, array, allow_pickle=False)
        self._files[name, chunk] = path

    def get(self, name: str, chunk: int) -> Array:
        """The array; raises `KeyError` where there is none."""
        found = self._arrays.get((name, chunk))
        if found is not None:
            return found
        array: Array = np.load(self._files[name, chunk], allow_pickle=False)
        return array

    def drop(self, name: str) -> None:
        """Forget all chunks of a tensor."""
        for key in [key for key in self._arrays if key[0] == name]:
            self._left += self._arrays.pop(key).nbytes
        for key in [key for key in self._files if key[0] == name]:
            self._files.pop(key).unlink(missing_ok=True)
