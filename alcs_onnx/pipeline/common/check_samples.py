"""The inputs on which a written file is compared with the original."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from alcs_onnx.feeds import resolve_shapes
from alcs_onnx.input_settings import InputSettings
from alcs_onnx.ort import Value
from alcs_onnx.types import Shape

#: Sizes that grow by this much stay multiples of what most networks divide theirs by.
_STEP = 32


@dataclass(frozen=True)
class CheckSample:
    """Inputs by their shapes and the seed of their values; `told` is what they are called.

    `varied` as for `feeds.make_feeds`.
    """

    told: str
    shapes: Mapping[str, Shape]
    seed: int
    varied: bool = False


def check_samples(
    inputs: Sequence[Value], settings: InputSettings, seed: int
) -> Iterator[CheckSample]:
    """Samples at the sizes that `settings` settle, and at others where the file leaves them open.

    First two of the settled sizes. Where leading dimensions are open, a batch of 1 and of 2
    follow, and where several have names of their own, batches that differ. Last comes one of
    another size in all other open dimensions. Raises `ModelError` as `resolve_shapes` does.
    """
    base = resolve_shapes(inputs, settings)
    yield CheckSample("the given sizes", base, seed)
    yield CheckSample("the given sizes, other values", base, seed + 1, varied=True)
    leading = dict.fromkeys(
        _key(value, 0) for value in inputs if value.dims and not isinstance(value.dims[0], int)
    )
    other = {
        _key(value, axis): _larger(base[value.name][axis])
        for value in inputs
        for axis, dim in enumerate(value.dims)
        if not isinstance(dim, int) and _key(value, axis) not in leading
    }
    wanted: list[tuple[str, Mapping[Hashable, int]]] = []
    if leading:
        wanted += [("batch 1", dict.fromkeys(leading, 1)), ("batch 2", dict.fromkeys(leading, 2))]
    if len(leading) > 1:
        rising = range(2, 2 + len(leading))
        for batches in (rising, rising[::-1]):  # memory that is too small shows one way only
            told = "batches " + ", ".join(map(str, batches))
            wanted.append((told, dict(zip(leading, batches, strict=True))))
    if other:
        wanted.append(("another size", other))
    for told, sizes in wanted:
        shapes = {value.name: _resized(value, base[value.name], sizes) for value in inputs}
        if shapes != base:
            yield CheckSample(told, shapes, seed)


def _key(value: Value, axis: int) -> Hashable:
    """What tells one open dimension from another: its name; without one its place, or a batch."""
    dim = value.dims[axis]
    if isinstance(dim, str):
        return dim
    return (value.name, axis) if axis else ("", 0)


def _resized(value: Value, shape: Shape, sizes: Mapping[Hashable, int]) -> Shape:
    return tuple(
        size
        if axis >= len(value.dims) or isinstance(value.dims[axis], int)
        else sizes.get(_key(value, axis), size)
        for axis, size in enumerate(shape)
    )


def _larger(size: int) -> int:
    return size + _STEP if size % _STEP == 0 else 2 * size
