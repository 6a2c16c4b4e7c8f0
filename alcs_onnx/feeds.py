"""Inputs made up for a session: reproducible, of the right shapes, and such that it runs on them.

What a model takes in whole numbers often has a meaning that its file does not tell: positions in
a table, a sampling rate that selects a branch. So values are tried until the model runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from alcs_onnx.errors import AlcsError, ModelError
from alcs_onnx.input_settings import InputSettings
from alcs_onnx.ort import Feeds, Session, Value, text_of
from alcs_onnx.types import Shape

Array = npt.NDArray[Any]

_DTYPES: dict[str, npt.DTypeLike] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
    "tensor(uint16)": np.uint16,
    "tensor(int16)": np.int16,
    "tensor(uint32)": np.uint32,
    "tensor(int32)": np.int32,
    "tensor(uint64)": np.uint64,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
    "tensor(string)": np.str_,
}
#: Combinations of values that are tried where several inputs are made up, at most.
_ATTEMPTS = 64
_TRUTHS = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True)
class MadeFeeds:
    """Inputs of a session by name, and what is to be told of those whose values were guessed."""

    feeds: Feeds
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Candidate:
    """A way to fill an input that is no float: what it is called, and how it is done.

    `other`: among the first to be tried where values are to differ from the usual ones.
    """

    told: str
    fill: Callable[[np.random.Generator, Shape], npt.ArrayLike]
    other: bool = False


def _constant(value: object, told: str, *, other: bool = False) -> _Candidate:
    return _Candidate(told, lambda _, shape: np.full(shape, value), other)


def _random(low: int, high: int, told: str) -> _Candidate:
    return _Candidate(told, lambda random, shape: random.integers(low, high, shape), other=True)


_BYTES = _random(0, 256, "random bytes")
_SIGNED_BYTES = _random(-128, 128, "random bytes")
#: In the order in which they are tried: indices and counts that most graphs take, then the
#: sampling rates of speech, which graphs compare theirs with.
_INTEGERS = (
    _constant(0, "zeros"),
    _constant(1, "ones"),
    _random(0, 4, "random numbers from 0 to 3"),
    _constant(16000, "16000"),
    _constant(8000, "8000"),
)
_TRUTH_VALUES = (_constant(False, "false"), _constant(True, "true", other=True))
_TEXTS = (_constant("a", "'a'"), _constant("0", "'0'", other=True))


def make_feeds(
    session: Session,
    seed: int = 0,
    settings: InputSettings | None = None,
    *,
    varied: bool = False,
) -> MadeFeeds:
    """Reproducible inputs for `session`: what `settings` give, normal floats, and guesses.

    Integers, truth values and texts that are not given are tried in a fixed order until the
    session runs, with `varied` random numbers, true and other texts first; `notes` say what was
    taken. Names in `settings` that are no input's are passed over. Raises `ModelError`, naming the
    input, for a shape that is open or does not fit, for values that do not fit, and where the
    session runs on none of the guesses.
    """
    settings = settings or InputSettings()
    shapes = resolve_shapes(session.inputs, settings)
    normal, feeds, guessed = np.random.default_rng(seed), {}, []
    for value in session.inputs:
        dtype = _dtype(value)
        if value.name in settings.values:
            feeds[value.name] = _given(value, settings.values[value.name], shapes[value.name])
        elif dtype.kind == "f":
            made = np.asarray(normal.standard_normal(shapes[value.name]))
            feeds[value.name] = made.astype(dtype)
        else:
            guessed.append(value)
    if not guessed:
        return MadeFeeds(feeds)
    reasons = []
    candidates = [_candidates(value, shapes[value.name]) for value in guessed]
    if varied:
        candidates = [tuple(sorted(row, key=lambda c: not c.other)) for row in candidates]
    for choice in _choices(candidates):
        random = np.random.default_rng((seed, len(guessed)))
        for value, candidate in zip(guessed, choice, strict=True):
            filled = np.asarray(candidate.fill(random, shapes[value.name]))
            feeds[value.name] = filled.astype(_dtype(value))
        try:
            session.run(feeds)
        except AlcsError as error:
            reasons.append(str(error))
            continue
        return MadeFeeds(
            {value.name: feeds[value.name] for value in session.inputs},
            tuple(
                f"input '{value.name}' is made up: {candidate.told} "
                f"(--input-values {value.name}:... gives others)"
                for value, candidate in zip(guessed, choice, strict=True)
            ),
        )
    raise ModelError(_no_guess(guessed, shapes, reasons[0]))


def resolve_shapes(inputs: Sequence[Value], settings: InputSettings) -> dict[str, Shape]:
    """The static shape of every input, by name.

    A size of a named dimension, given by itself, by a shape or by values, holds for all inputs;
    a leading dimension that nothing settles is a batch of 1. Raises `ModelError`, naming the
    input, for what stays open and for shapes that do not fit. The runtime tells an input without
    a declared shape from a scalar in no way: both take any shape that is given.
    """
    known, sizes = _known(inputs, settings)
    shapes = {}
    for value in inputs:
        shape = known.get(value.name, _settled(value, sizes))
        if shape is None:
            raise ModelError(_open(value, sizes))
        shapes[value.name] = shape
    return shapes


def shapes_to_load(inputs: Sequence[Value], settings: InputSettings) -> dict[str, Shape]:
    """Those of the static shapes that no input tells by itself, to load the model with.

    They are what `settings` give, and shapes that follow from a dimension's name. Raises
    `ModelError` for shapes that do not fit; inputs that stay open are left out.
    """
    known, sizes = _known(inputs, settings)
    for value in inputs:
        shape = _settled(value, sizes)
        if value.name not in known and shape is not None and shape != _settled(value, {}):
            known[value.name] = shape
    return known


def _known(
    inputs: Sequence[Value], settings: InputSettings
) -> tuple[dict[str, Shape], dict[str, int]]:
    """The shapes that are given, by input, and the sizes of named dimensions that are settled."""
    known: dict[str, Shape] = {}
    for value in inputs:
        array = settings.values.get(value.name)
        if value.name in settings.shapes:
            known[value.name] = settings.shapes[value.name]
        elif array is not None and array.ndim and _fits(value, array.shape):
            known[value.name] = array.shape
        if not _fits(value, known.get(value.name)):
            raise ModelError(
                f"input '{value.name}' has shape {text_of(value.shape)}, "
                f"not {text_of(known[value.name])}"
            )
    sizes = dict(settings.sizes)
    for value in inputs:
        for dim, size in zip(value.dims, known.get(value.name, ()), strict=False):
            if isinstance(dim, str) and settings.sizes.get(dim, size) != size:
                raise ModelError(
                    f"--input-shapes {dim}={settings.sizes[dim]}: it is {size} in "
                    f"{text_of(known[value.name])}, which is given for input '{value.name}'"
                )
            if isinstance(dim, str):
                sizes.setdefault(dim, size)
    for value in inputs:
        if value.name not in known and value.dims and isinstance(value.dims[0], str):
            sizes.setdefault(value.dims[0], 1)
    return known, sizes


def _fits(value: Value, shape: Shape | None) -> bool:
    """Whether `shape` is one that the file allows; None is not known yet."""
    return (
        shape is None
        or not value.shape
        or (
            len(shape) == len(value.shape)
            and all(
                fixed is None or fixed == size
                for fixed, size in zip(value.shape, shape, strict=True)
            )
        )
    )


def _settled(value: Value, sizes: Mapping[str, int]) -> Shape | None:
    """The shape of an input whose named dimensions have `sizes`; None where one stays open."""
    found = []
    for axis, dim in enumerate(value.dims):
        size = sizes.get(dim) if isinstance(dim, str) else dim
        if size is None and axis > 0:
            return None
        found.append(1 if size is None else size)
    return tuple(found)


def _open(value: Value, sizes: Mapping[str, int]) -> str:
    """What to tell of an input that stays open: an example of what to give, and by what names."""
    example = ",".join(
        str(dim if isinstance(dim, int) else sizes.get(str(dim), 224 if axis else 1))
        for axis, dim in enumerate(value.dims)
    )
    named = {dim: 224 for dim in value.dims if isinstance(dim, str) and dim not in sizes}
    by_name = ",".join(f"{name}={size}" for name, size in named.items())
    return (
        f"input '{value.name}' has shape {text_of(value.shape)}: give it, for example "
        f"--input-shapes {value.name}:{example}" + (f" or {by_name}" if by_name else "")
    )


def _dtype(value: Value) -> np.dtype[Any]:
    dtype = _DTYPES.get(value.type)
    if dtype is None:
        raise ModelError(f"input '{value.name}' is a {value.type}, which cannot be made up")
    return np.dtype(dtype)


def _given(value: Value, array: Array, shape: Shape) -> Array:
    """`array` as the input's own type in `shape`."""
    dtype = _dtype(value)
    try:
        exact = _converted(array, dtype)
    except (KeyError, OverflowError, TypeError, ValueError):
        raise ModelError(
            f"--input-values {value.name}: input '{value.name}' is a {value.type}, "
            f"which {_shown(array)} is not"
        ) from None
    if exact.size == 1:
        return np.full(shape, exact.reshape(()))
    if exact.shape == shape or exact.size == np.prod(shape, dtype=int):
        return exact.reshape(shape)
    if exact.ndim == len(shape) and exact.shape[1:] == shape[1:]:
        return np.resize(exact, shape)  # another batch than the values have: they are repeated
    raise ModelError(
        f"--input-values {value.name}: {exact.size} values do not fill input '{value.name}' of "
        f"shape {text_of(shape)}"
    )


def _converted(array: Array, dtype: np.dtype[Any]) -> Array:
    """`array` as `dtype`; raises `ValueError` or the like where that changes a value."""
    if dtype.kind == "U":
        return array.astype(np.str_)
    if dtype.kind == "b" and array.dtype.kind in "US":
        return np.array([_TRUTHS[str(x).lower()] for x in array.flat]).reshape(array.shape)
    if dtype.kind in "iu" and array.dtype.kind in "US":
        array = np.array([int(x) for x in array.flat], object).reshape(array.shape)
    found = array.astype(dtype)
    if dtype.kind in "iub" and not np.array_equal(found, array):
        raise ValueError
    return found


def _shown(array: Array) -> str:
    first = array.flat[0] if array.size else "nothing"
    return f"'{first}'" if array.size < 2 else f"'{first}', ..."


def _candidates(value: Value, shape: Shape) -> tuple[_Candidate, ...]:
    """The ways to fill an input that is no float, in the order in which they are tried."""
    dtype = _dtype(value)
    if dtype.kind == "U":
        return _TEXTS
    if dtype.kind == "b":
        return _TRUTH_VALUES
    if dtype.itemsize == 1:  # of three axes and more it is a picture, and no number is special
        pictures = (_BYTES if dtype.kind == "u" else _SIGNED_BYTES,)
        small = _INTEGERS[:3]
        return (*pictures, *small) if len(shape) > 2 else (*small, *pictures)
    return _INTEGERS


def _choices(lists: Sequence[Sequence[_Candidate]]) -> Iterator[tuple[_Candidate, ...]]:
    """Combinations of candidates, those first that go least far down the lists."""
    lengths = [len(row) for row in lists]
    orders = (
        order
        for steps in range(sum(lengths) - len(lengths) + 1)
        for order in _orders(lengths, steps)
    )
    for order in islice(orders, _ATTEMPTS):
        yield tuple(row[index] for row, index in zip(lists, order, strict=True))


def _orders(lengths: Sequence[int], steps: int) -> Iterator[tuple[int, ...]]:
    """Positions in lists of these lengths that lie `steps` from their beginnings in sum."""
    if not lengths:
        if steps == 0:
            yield ()
        return
    for first in range(min(steps, lengths[0] - 1) + 1):
        for rest in _orders(lengths[1:], steps - first):
            yield (first, *rest)


def _no_guess(guessed: Sequence[Value], shapes: Mapping[str, Shape], reason: str) -> str:
    """What to tell where the session ran on none of the candidates."""
    tried = "; ".join(
        f"input '{value.name}', {value.type}: "
        + ", ".join(candidate.told for candidate in _candidates(value, shapes[value.name]))
        for value in guessed
    )
    return (
        f"the model runs on none of the values made up for it ({tried}): give them, for example "
        f"--input-values {guessed[0].name}:1; {reason}"
    )
