"""What a loader of the user's gives, item by item, as batches of the model's inputs."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from alcs_onnx.data.arrays import to_array
from alcs_onnx.data.others import GivenInput
from alcs_onnx.data.samples import Batch
from alcs_onnx.data.users_code import users_code
from alcs_onnx.errors import DataError
from alcs_onnx.graph import Model, TensorInfo

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class ItemReader:
    """Reads items for a model with `inputs`; those in `given` may be left out.

    Inputs are a tensor or array, a sequence in graph order, or a mapping by input name. Those that
    `counts` does not name come in the model's own shape.
    """

    inputs: tuple[TensorInfo, ...]
    counts: frozenset[str]
    given: Mapping[str, GivenInput]

    @classmethod
    def of(cls, model: Model, values: Mapping[str, Array]) -> ItemReader:
        """The reader for `model`, whose inputs have `values` where an item does not give them."""
        names = [info.name for info in model.inputs]
        given = {n: GivenInput.of(model, n, values[n]) for n in names if n in values}
        return cls(tuple(model.inputs), frozenset(model.sample_inputs), given)

    def read(self, item: Any, labelled: bool, where: str) -> Batch:
        """The batch that `item` is; raises `DataError`, beginning with `where`, if it is none."""
        if labelled and not (isinstance(item, (list, tuple)) and len(item) > 1):
            raise DataError(f"{where}: no targets, which the first batch has")
        value, targets = (item[0], item[1]) if labelled else (_only(item), None)
        found = {
            name: self._array(name, part, where) for name, part in self._named(value, where).items()
        }
        size = self._check(found, where)
        inputs = tuple(
            found[info.name] if info.name in found else self.given[info.name].repeated(size)
            for info in self.inputs
        )
        return Batch(inputs, size, targets)

    def _named(self, value: Any, where: str) -> dict[str, Any]:
        """The values of one item by the names of the inputs."""
        names = [info.name for info in self.inputs]
        if isinstance(value, Mapping):
            missing = [name for name in names if name not in value and name not in self.given]
            if missing:
                raise DataError(f"{where}: no value for model input '{missing[0]}'")
            return {name: value[name] for name in names if name in value}
        several = isinstance(value, (list, tuple)) and len(names) > 1
        values = list(value) if several else [value]
        left = [name for name in names if name not in self.given]
        for expected in (names, left):
            if len(values) == len(expected):
                return dict(zip(expected, values, strict=True))
        raise DataError(f"{where}: the model has {len(names)} inputs, found {len(values)}")

    def _array(self, name: str, value: Any, where: str) -> Array:
        try:
            array = to_array(value)
        except (TypeError, ValueError) as error:
            raise DataError(f"{where}: input '{name}': {error}") from None
        # What Python and numpy make of numbers by themselves is seldom what a model takes.
        wanted = next(info.dtype for info in self.inputs if info.name == name)
        if array.dtype == np.float64 and wanted != np.float64:
            return array.astype(np.float32)
        return array

    def _check(self, found: Mapping[str, Array], where: str) -> int:
        """The number of samples in `found`; raises `DataError` for what does not fit."""
        sizes = {}
        for info in self.inputs:
            if info.name not in found:
                continue
            array, counts = found[info.name], info.name in self.counts
            free = 1 if counts and array.ndim else 0
            if array.shape[free:] != info.shape[int(counts) :]:
                wanted = ["N", *info.shape[1:]] if counts else info.shape
                raise DataError(
                    f"{where}: expected input '{info.name}' [{', '.join(map(str, wanted))}], "
                    f"found {list(array.shape)}"
                )
            _check_finite(array, counts, f"{where}: ", f"input '{info.name}'")
            if counts:
                sizes[info.name] = int(array.shape[0])
        if len(set(sizes.values())) > 1:
            told = ", ".join(f"{size} of input '{name}'" for name, size in sizes.items())
            raise DataError(f"{where}: different numbers of samples: {told}")
        return next(iter(sizes.values()), 1)


def _check_finite(array: Array, counts: bool, where: str, what: str) -> None:
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return
    if counts:
        bad = ~np.isfinite(array.reshape(array.shape[0], -1)).all(1)
        what = f"sample {int(bad.argmax())} of {what}"
    raise DataError(f"{where}{what} contains NaN or infinity")


def _only(item: Any) -> Any:
    """Inputs of an unlabelled batch, written alone, as (inputs,) or as (inputs, None)."""
    if isinstance(item, (list, tuple)) and (len(item) == 1 or (len(item) == 2 and item[1] is None)):
        return item[0]
    return item


def is_pair(item: Any) -> bool:
    """Whether an item is (inputs, targets)."""
    return isinstance(item, (list, tuple)) and len(item) == 2 and item[1] is not None


@dataclass(frozen=True, eq=False)
class LoaderSamples:
    """Batches from any re-iterable: (inputs, targets) pairs, or inputs alone.

    They are used as they come, batch size included. torch's (where the loader has imported it),
    numpy's and Python's global random numbers are seeded before each pass, so a shuffling loader
    repeats itself.
    """

    loader: Iterable[Any]
    reader: ItemReader
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
        seed_everything(seed)
        for index, item in enumerate(checked(self.loader, self.where)):
            yield self.reader.read(item, self.labelled, f"{self.where}, batch {index}")


def seed_everything(seed: int) -> None:
    """Seed the global random numbers that a loader may draw from."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


def checked(loader: Iterable[Any], where: str) -> Iterator[Any]:
    """The items of `loader`; raises `DataError` for whatever its own code raises."""
    with users_code(where):
        yield from loader
