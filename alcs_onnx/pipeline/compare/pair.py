"""Two model files that are run on the same inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from alcs_onnx import ort
from alcs_onnx.errors import DataError, ModelError, UnsupportedError
from alcs_onnx.feeds import MadeFeeds, make_feeds, shapes_to_load
from alcs_onnx.graph import Model, TensorInfo
from alcs_onnx.input_settings import InputSettings
from alcs_onnx.pipeline.common.runnable import check_names, no_shape, undeclared_inputs
from alcs_onnx.types import Shape

Array = npt.NDArray[Any]


def is_numeric(value: object) -> bool:
    """Whether `value` is an array of numbers, which can be subtracted."""
    return isinstance(value, np.ndarray) and value.dtype.kind in "fiub"


class ModelPair:
    """The sessions of files `a` and `b`, which take the same inputs.

    `names` are the outputs of both in the order of a, matched by name or else by order, which
    `notes` tell. Raises `ModelError` for a file that is missing or does not run, and for inputs
    or outputs that do not correspond.
    """

    def __init__(self, a: Path, b: Path, threads: int, inputs: InputSettings) -> None:
        self.paths = (a, b)
        self._sessions = [ort.create_session(path, threads) for path in self.paths]
        self._inputs = inputs.with_shapes(self._input_shapes(inputs))
        first, second = ([value.name for value in session.outputs] for session in self._sessions)
        if len(first) != len(second):
            raise ModelError(
                f"the models have different numbers of outputs: {a} has {len(first)}, "
                f"{b} has {len(second)}"
            )
        alike = set(first) == set(second)
        self.names = tuple(zip(first, first if alike else second, strict=True))
        self.notes = () if alike else ("outputs have other names and are matched by their order",)

    def _input_shapes(self, inputs: InputSettings) -> dict[str, Shape]:
        """Those of `inputs`, and what one model fixes of what the other leaves open."""
        first, second = ({v.name: v for v in session.inputs} for session in self._sessions)
        check_names(self._sessions[:1], inputs, f"{self.paths[0]} has")
        if first.keys() != second.keys():
            raise ModelError(
                f"the models have different inputs: {self.paths[0]} has {_listed(first)}, "
                f"{self.paths[1]} has {_listed(second)}"
            )
        open_a, open_b = map(undeclared_inputs, self.paths, self._sessions)
        try:
            shapes = shapes_to_load(self._sessions[0].inputs, inputs)
        except ModelError as error:
            raise ModelError(f"{self.paths[0]}: {error}") from error
        for name, value in first.items():
            other = second[name]
            declared = [
                item.shape for item, free in ((value, open_a), (other, open_b)) if name not in free
            ]
            if value.type != other.type or not _agree(declared):
                raise ModelError(
                    f"the models have different inputs: '{name}' is {value} in {self.paths[0]} "
                    f"and {other} in {self.paths[1]}"
                )
            if name in shapes:
                continue
            if not declared:
                raise ModelError(no_shape(self.paths[0], name))
            known = [
                next((x for x in axis if x is not None), None)
                for axis in zip(*declared, strict=True)
            ]
            if known and known[0] is None:
                known[0] = 1
            if None not in known:
                shapes[name] = tuple(size for size in known if size is not None)
        return shapes

    @property
    def dynamic_batch(self) -> bool:
        """Whether no input of either model fixes its first axis."""
        values = [value for session in self._sessions for value in session.inputs]
        return bool(values) and all(v.shape and v.shape[0] is None for v in values)

    def make_feeds(self, seed: int) -> MadeFeeds:
        """Reproducible inputs for both, on which a runs (`feeds.make_feeds`).

        Raises `ModelError` for inputs that cannot be made up or whose shape is not known.
        """
        try:
            return make_feeds(self._sessions[0], seed, self._inputs)
        except ModelError as error:
            raise ModelError(f"{self.paths[0]}: {error}") from error

    def signature(self, feeds: ort.Feeds) -> Model:
        """A model without nodes that has the inputs and outputs of both, as `feeds` run."""
        expected, _ = self.run(feeds)
        shapes = {name: array.shape for name, array in feeds.items()}
        longer = {name: (shape[0] + 1, *shape[1:]) for name, shape in shapes.items() if shape}
        other = longer if self.dynamic_batch else {}
        return Model(
            nodes=(),
            inputs=_infos(feeds.items()),
            outputs=_infos(zip((a for a, _ in self.names), expected, strict=True)),
            opset=0,
            initializers={},
            shapes=shapes,
            dtypes={},
            other_inputs=other,
            other_shapes=other,
        )

    def run(self, feeds: ort.Feeds) -> tuple[list[Array], list[Array]]:
        """The outputs of a and of b, in the order of `names`.

        Raises `DataError` for feeds that do not fit, `UnsupportedError` for outputs that are no
        numbers, `ModelError` for those of different shapes.
        """
        outputs = []
        wanted = zip(*self.names, strict=True) if self.names else ((), ())
        for path, session, names in zip(self.paths, self._sessions, wanted, strict=True):
            try:
                found = ort.run(session, feeds)
            except DataError as error:
                raise DataError(f"{path}: {error}") from error
            outputs.append([_numbers(found[name], name, path) for name in names])
        expected, others = outputs
        for (name, _), x, y in zip(self.names, expected, others, strict=True):
            if x.shape != y.shape:
                raise ModelError(
                    f"output '{name}' is {list(x.shape)} in {self.paths[0]} and {list(y.shape)} in "
                    f"{self.paths[1]}: only outputs of equal shapes can be compared"
                )
        return expected, others


def _agree(declared: Sequence[Sequence[int | None]]) -> bool:
    """Whether some shape fits all of these, whose unknown axes are None."""
    return len({len(shape) for shape in declared}) < 2 and all(
        len(set(axis) - {None}) < 2 for axis in zip(*declared, strict=True)
    )


def _infos(arrays: Iterable[tuple[str, Array]]) -> tuple[TensorInfo, ...]:
    return tuple(TensorInfo(name, array.dtype, array.shape) for name, array in arrays)


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(f"'{name}'" for name in names) or "none"


def _numbers(value: Array, name: str, path: Path) -> Array:
    if not is_numeric(value):
        kind = value.dtype if isinstance(value, np.ndarray) else type(value).__name__
        raise UnsupportedError(f"output '{name}' of {path} holds no numbers but {kind}")
    return value
