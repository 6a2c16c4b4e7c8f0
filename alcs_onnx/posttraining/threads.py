"""Threads of the linear algebra: of small matrices several are slower than one.

A pool of the linear algebra library spins while it waits, and where another process has a processor
too, each of thousands of small products waits for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import TypeVar

from threadpoolctl import threadpool_limits

from alcs_onnx.ort import processors

Given = TypeVar("Given")
Found = TypeVar("Found")

#: Multiply-adds of a product from which on several threads pay.
_LARGE = 1e9


def threads_for(multiplications: float) -> AbstractContextManager[object]:
    """One thread for products of fewer than a billion multiply-adds, else all processors."""
    count = processors() if multiplications >= _LARGE else 1
    limits: AbstractContextManager[object] = threadpool_limits(count, user_api="blas")
    return limits


def side_by_side(work: Callable[[Given], Found], given: Iterable[Given]) -> list[Found]:
    """`work` of each, several at once, each with one thread."""
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(processors()) as pool:
        return list(pool.map(work, given))
