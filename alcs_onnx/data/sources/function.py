"""Data from the user's own code."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from alcs_onnx.data.items import ItemReader, LoaderSamples, checked, is_pair
from alcs_onnx.data.options import DataOptions
from alcs_onnx.data.samples import Data
from alcs_onnx.errors import AlcsError, DataError
from alcs_onnx.graph import Model

_SPEC = re.compile(r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")
_KEYS = ("train", "test", "loss", "metric")


def matches(spec: str) -> bool:
    """`module:function`."""
    return bool(_SPEC.match(spec))


def load(spec: str, model: Model, options: DataOptions) -> Data:
    """`module:function`, called without arguments; the current folder is importable.

    It returns (train, test), (train, test, loss) or (train, test, loss, metric), or a
    mapping with these keys, where all but train may be missing or None. train and test are
    re-iterables of batches (inputs, targets), for example DataLoaders; batches of inputs
    alone are unlabelled (several inputs: as a mapping). loss(outputs, targets) is a scalar
    tensor, metric(outputs, targets) a mean over the batch, larger is better; outputs is the
    output tensor, or a mapping by name where the model has several. Preprocessing is the
    function's own business.
    """
    parts = _parts(call(spec), spec)
    reader = ItemReader.of(model, options.values)

    def samples(kind: str) -> LoaderSamples | None:
        loader = parts.get(kind)
        if loader is None:
            return None
        if not isinstance(loader, Iterable):
            raise DataError(f"data '{spec}': {kind} is not iterable")
        if isinstance(loader, Iterator):
            raise DataError(f"data '{spec}': {kind} can be read only once, give a list or loader")
        where = f"data '{spec}': {kind}"
        first = next(checked(loader, where), None)
        if first is None:
            raise DataError(f"{where} has no batches")
        return LoaderSamples(loader, reader, is_pair(first), where)

    train = samples("train")
    if train is None:
        raise DataError(f"data '{spec}' gives no training batches")
    if parts.get("loss") is not None and not train.labelled:
        raise DataError(f"data '{spec}' gives a loss but no targets")
    return Data(train, samples("test"), parts.get("loss"), parts.get("metric"))


def call(spec: str) -> Any:
    """What the function returns; raises `DataError` for whatever it raises."""
    module_name, _, function_name = spec.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        function = getattr(importlib.import_module(module_name), function_name)
        return function()
    except AlcsError:
        raise
    except Exception as error:  # user code may raise anything
        raise DataError(f"data '{spec}' failed: {type(error).__name__}: {error}") from error


def _parts(found: Any, spec: str) -> Mapping[str, Any]:
    if isinstance(found, Mapping):
        unknown = set(found) - set(_KEYS)
        if unknown:
            raise DataError(
                f"data '{spec}' returned an unknown key '{min(map(str, unknown))}', "
                f"expected {', '.join(_KEYS)}"
            )
        return found
    if isinstance(found, (list, tuple)) and 1 <= len(found) <= len(_KEYS):
        return dict(zip(_KEYS, found, strict=False))
    raise DataError(
        f"data '{spec}' must return (train, test), optionally loss and metric, or a mapping"
    )
