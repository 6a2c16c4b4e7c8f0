"""What is derived from a model and asked for often, derived once."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar
from weakref import WeakKeyDictionary

from alcs_onnx.graph.model import Model

Found = TypeVar("Found")


def once_per_model(derive: Callable[[Model], Found]) -> Callable[[Model], Found]:
    """`derive`, whose result is kept as long as the model lives.

    Models are immutable and equal only to themselves, so the result cannot become wrong. It
    must not hold the model, which would then live for ever.
    """
    results: WeakKeyDictionary[Model, Found] = WeakKeyDictionary()

    @wraps(derive)
    def remembered(model: Model) -> Found:
        try:
            return results[model]
        except KeyError:
            return results.setdefault(model, derive(model))

    return remembered
