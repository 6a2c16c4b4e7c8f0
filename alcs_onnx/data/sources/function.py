"""Data from the user's own code."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from alcs_onnx.data.checks import channels_first
from alcs_onnx.data.gather import gather
from alcs_onnx.data.items import ItemReader, LoaderSamples, checked, is_pair, seed_everything
from alcs_onnx.data.looks import constant_pictures
from alcs_onnx.data.options import DataOptions, PictureOptions
from alcs_onnx.data.pool import Chosen, Pool
from alcs_onnx.data.samples import Data
from alcs_onnx.data.users_code import users_code, users_function
from alcs_onnx.errors import DataError
from alcs_onnx.graph import Model
from alcs_onnx.types import IntArray

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


def pictures(spec: str, model: Model, options: PictureOptions) -> Pool:
    """What the function returns as for `load`, of which train is taken, or batches alone.

    Batches alone are any iterable of them, which may be read once, or one batch of all samples:
    (inputs, targets) or inputs. So a tuple that begins with an array or a mapping is a batch, any
    other one, a list of loaders and a mapping with `train` are (train, test). Batches are read in
    their order until they hold as many samples as are wanted, or fill `options.cache_bytes`.
    """
    items, where = _items(call(spec), spec)
    seed_everything(options.seed)
    samples, notes = gather(items, model, options, where)
    images = [
        (given, channels_first(info.shape))
        for given, info in zip(samples.inputs, model.inputs, strict=True)
        if given.counts_samples and len(info.shape) == 4
    ]

    def choose(members: IntArray) -> Chosen:
        constant = np.full(len(members), bool(images))
        for given, first in images:
            pixels = given.rows(members)
            constant &= constant_pictures(pixels if first else pixels.transpose(0, 3, 1, 2))
        names = [f"sample {member} of {where}" for member in members]
        return Chosen(samples.subset(members), names, constant)

    return Pool(where, len(samples), choose, samples.labels, notes=notes)


def _items(found: Any, spec: str) -> tuple[Iterable[Any], str]:
    """The batches in what a function returned, and what they are called."""
    where = f"data '{spec}'"
    if isinstance(found, Mapping) and "train" not in found:
        return [found], where
    if _is_array(found) or (isinstance(found, tuple) and found and _is_batch(found[0])):
        return [found], where
    loaders = isinstance(found, list) and bool(found) and _is_loader(found[0])
    if loaders or isinstance(found, (Mapping, tuple)):
        train = _parts(found, spec).get("train")
        if train is None:
            raise DataError(f"data '{spec}' gives no training batches")
        where += ": train"
        return _iterable([train] if _is_array(train) else train, where), where
    return _iterable(found, where), where


def _is_array(value: Any) -> bool:
    """Arrays and tensors."""
    return hasattr(value, "shape")


def _is_batch(value: Any) -> bool:
    """Inputs of a batch, in a form that no loader has."""
    return _is_array(value) or isinstance(value, Mapping)


def _is_loader(value: Any) -> bool:
    """An object that gives batches, and is none of the containers that hold inputs."""
    return isinstance(value, Iterable) and not (
        _is_batch(value) or isinstance(value, (list, tuple, str))
    )


def _iterable(value: Any, where: str) -> Iterable[Any]:
    if not isinstance(value, Iterable) or isinstance(value, str):
        raise DataError(f"{where}: {type(value).__name__} is not iterable")
    return value


def call(spec: str) -> Any:
    """What the function returns; raises `DataError` for whatever it raises."""
    with users_code(f"data '{spec}'"):
        return users_function(spec)()


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
