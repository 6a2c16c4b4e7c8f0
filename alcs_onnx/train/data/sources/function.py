"""Data from the user's own code."""

from __future__ import annotations

import importlib
import random
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from alcs_onnx.errors import AlcsError, DataError
from alcs_onnx.graph import Model
from alcs_onnx.train.data.options import DataOptions
from alcs_onnx.train.data.others import GivenInput
from alcs_onnx.train.data.samples import Batch, Data
from alcs_onnx.types import Shape

_SPEC = re.compile(r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")
_KEYS = ("train", "test", "loss", "metric")


@dataclass(frozen=True)
class LoaderSamples:
    """Batches from any re-iterable: (inputs, targets) pairs, or inputs alone.

    Inputs are a tensor or array, a sequence in graph order, or a mapping by input name, and
    are used as they come, batch size included. Those in `given` may be left out. Inputs that do
    not count samples (`counts_samples`) come in the model's own shape. torch's, numpy's and
    Python's global random numbers are seeded before each pass, so a shuffling loader repeats
    itself.
    """

    loader: Iterable[Any]
    names: tuple[str, ...]
    shapes: tuple[Shape, ...]
    counts_samples: tuple[bool, ...]
    given: Mapping[str, GivenInput]
    labelled: bool
    where: str

    def batch_count(self, batch_size: int, *, training: bool) -> int | None:
        """The loader's length, where it has one."""
        try:
            return len(self.loader)  # type: ignore[arg-type]
        except TypeError:
            return None

    def batches(self, batch_size: int, *, training: bool, seed: int = 0) -> Iterator[Batch]:
        """One pass over the loader; raises `DataError` for inputs that do not fit."""
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)
        random.seed(seed)
        for index, item in enumerate(self.loader):
            where = f"{self.where}, batch {index}"
            pair = self.labelled
            value, targets = (item[0], item[1]) if pair else (_only(item), None)
            found = _by_name(value, self.names, self.given, where)
            size = self._check(found, where)
            inputs = tuple(
                found[name] if name in found else self.given[name].repeated(size)
                for name in self.names
            )
            if not isinstance(targets, torch.Tensor) and isinstance(targets, np.ndarray):
                targets = torch.from_numpy(targets)
            yield Batch(inputs, size, targets)

    def _check(self, inputs: Mapping[str, Tensor], where: str) -> int:
        """The number of samples in `inputs`; raises `DataError` for what does not fit."""
        sizes = {}
        for name, shape, counts in zip(self.names, self.shapes, self.counts_samples, strict=True):
            if name not in inputs:
                continue
            tensor = inputs[name]
            free = 1 if counts and tensor.dim() else 0
            if tuple(tensor.shape[free:]) != shape[int(counts) :]:
                wanted = ["N", *shape[1:]] if counts else shape
                raise DataError(
                    f"{where}: expected input '{name}' [{', '.join(map(str, wanted))}], "
                    f"found {list(tensor.shape)}"
                )
            if tensor.is_floating_point() and not torch.isfinite(tensor).all():
                raise DataError(f"{where}: input '{name}' contains NaN or infinity")
            if counts:
                sizes[name] = int(tensor.shape[0])
        if len(set(sizes.values())) > 1:
            told = ", ".join(f"{size} of input '{name}'" for name, size in sizes.items())
            raise DataError(f"{where}: different numbers of samples: {told}")
        return next(iter(sizes.values()), 1)


def _by_name(
    value: Any, names: Sequence[str], given: Collection[str], where: str
) -> dict[str, Tensor]:
    """Tensors from a tensor, array, sequence in graph order, or mapping by input name."""
    if isinstance(value, Mapping):
        missing = [name for name in names if name not in value and name not in given]
        if missing:
            raise DataError(f"{where}: no value for model input '{missing[0]}'")
        return {name: torch.as_tensor(value[name]) for name in names if name in value}
    several = isinstance(value, (list, tuple)) and len(names) > 1
    values = list(value) if several else [value]
    left = [name for name in names if name not in given]
    for expected in (names, left):
        if len(values) == len(expected):
            return {n: torch.as_tensor(v) for n, v in zip(expected, values, strict=True)}
    raise DataError(f"{where}: the model has {len(names)} inputs, found {len(values)}")


def _only(item: Any) -> Any:
    """Inputs of an unlabelled batch, written alone, as (inputs,) or as (inputs, None)."""
    if isinstance(item, (list, tuple)) and (len(item) == 1 or (len(item) == 2 and item[1] is None)):
        return item[0]
    return item


def _is_pair(item: Any) -> bool:
    return isinstance(item, (list, tuple)) and len(item) == 2 and item[1] is not None


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
    module_name, _, function_name = spec.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        function = getattr(importlib.import_module(module_name), function_name)
        found = function()
    except AlcsError:
        raise
    except Exception as error:  # user code may raise anything
        raise DataError(f"data '{spec}' failed: {type(error).__name__}: {error}") from error
    parts = _parts(found, spec)
    names = tuple(info.name for info in model.inputs)
    shapes = tuple(info.shape for info in model.inputs)
    counts = tuple(name in model.sample_inputs for name in names)
    given = {n: GivenInput.of(model, n, options.values[n]) for n in names if n in options.values}

    def samples(kind: str) -> LoaderSamples | None:
        loader = parts.get(kind)
        if loader is None:
            return None
        if not isinstance(loader, Iterable):
            raise DataError(f"data '{spec}': {kind} is not iterable")
        if isinstance(loader, Iterator):
            raise DataError(f"data '{spec}': {kind} can be read only once, give a list or loader")
        first = next(iter(loader), None)
        if first is None:
            raise DataError(f"data '{spec}': {kind} has no batches")
        where = f"data '{spec}': {kind}"
        return LoaderSamples(loader, names, shapes, counts, given, _is_pair(first), where)

    train = samples("train")
    if train is None:
        raise DataError(f"data '{spec}' gives no training batches")
    if parts.get("loss") is not None and not train.labelled:
        raise DataError(f"data '{spec}' gives a loss but no targets")
    return Data(train, samples("test"), parts.get("loss"), parts.get("metric"))


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
