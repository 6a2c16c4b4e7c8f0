"""Resolving the dynamic dimensions of graph inputs to numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from alcs_onnx.errors import ModelError
from alcs_onnx.graph.model import Model
from alcs_onnx.types import PartialShape, Shape

#: A declared shape: numbers, names of symbolic dimensions, None for an unnamed one.
Dims = tuple[int | str | None, ...]


def resolve_inputs(
    model: Model,
    dims: Mapping[str, Dims | None],
    given: Mapping[str, Shape],
    note: Callable[[str], None],
) -> Model:
    """The model with static inputs: `given` where named, else as declared, batch 1.

    `dims` are the declared dimensions of each input (None: unknown rank). A symbolic name
    that a given shape settles is settled for every input. Raises `ModelError` for a given
    name that is no input, a shape that contradicts the file, and for dimensions left open.
    """
    bound = _bound(dims, given)
    shapes = {
        info.name: tuple(given[info.name])
        if info.name in given
        else _resolve(info.name, dims[info.name], bound, note)
        for info in model.inputs
    }
    inputs = tuple(replace(info, shape=shapes[info.name]) for info in model.inputs)
    return replace(model, inputs=inputs)


def other_sizes(
    dims: Mapping[str, Dims | None], shapes: Mapping[str, Shape]
) -> Iterator[dict[str, Shape]]:
    """Other shapes of the inputs than the measured `shapes`, the most different ones first.

    Every open size differs from the measured one, every symbol has one size, and different
    symbols different sizes; then all batches (first axes) are the same, for models that need
    that; then only batches differ. Spatial sizes are doubled, which whatever halves them takes.
    Nothing where the file fixes all sizes.
    """
    measured: dict[str, int] = {}
    for name, axis, symbol in _open_axes(dims):
        measured.setdefault(symbol, shapes[name][axis])
    batches = {symbol for _, axis, symbol in _open_axes(dims) if axis == 0}
    if not measured:
        return
    sizes = (size for size in (3, 5, 7, 11, 13, 17, 19, 23) if size not in measured.values())
    first = next(sizes)
    apart = {symbol: next(sizes, first) for symbol in sorted(batches)}
    doubled = {symbol: 2 * size for symbol, size in measured.items() if symbol not in batches}
    tried: list[dict[str, int]] = []
    for batch in (apart, dict.fromkeys(apart, first)):
        tried.append({**doubled, **batch})
    for batch in (apart, dict.fromkeys(apart, first)):
        tried.append({**measured, **batch})
    seen: list[dict[str, Shape]] = []
    for chosen in tried:
        found = {name: list(shape) for name, shape in shapes.items()}
        for name, axis, symbol in _open_axes(dims):
            found[name][axis] = chosen[symbol]
        result = {name: tuple(shape) for name, shape in found.items()}
        if result not in seen and result != dict(shapes):
            seen.append(result)
            yield result


def _open_axes(dims: Mapping[str, Dims | None]) -> Iterator[tuple[str, int, str]]:
    """Input, axis and symbol of every open size; unnamed batches are one symbol."""
    for name, declared in dims.items():
        for axis, dim in enumerate(declared or ()):
            if not isinstance(dim, int):
                yield name, axis, dim or (f"{name}\0{axis}" if axis else "\0batch")


def known_dims(
    dims: Mapping[str, Dims | None], given: Mapping[str, Shape]
) -> tuple[dict[str, Dims | None], dict[str, int]]:
    """As `resolve_inputs`, but what stays open stays open; and the sizes of symbolic names.

    Raises `ModelError` for given shapes that do not fit the file.
    """
    bound = _bound(dims, given)
    for name, declared in dims.items():
        batch = declared[0] if declared else 0
        if isinstance(batch, str) and name not in given:
            bound.setdefault(batch, 1)
    known: dict[str, Dims | None] = {}
    for name, declared in dims.items():
        if name in given or declared is None:
            known[name] = given.get(name)
        else:
            first = tuple(1 if dim is None else dim for dim in declared[:1])
            known[name] = with_sizes((*first, *declared[1:]), bound)
    return known, bound


def with_sizes(dims: Dims, bound: Mapping[str, int]) -> Dims:
    """`dims` with numbers for the symbolic names that have a size."""
    return tuple(bound.get(dim, dim) if isinstance(dim, str) else dim for dim in dims)


def static(dims: Dims | None) -> Shape | None:
    """`dims` where all of them are numbers, else None."""
    if dims is None:
        return None
    sizes = tuple(dim for dim in dims if isinstance(dim, int))
    return sizes if len(sizes) == len(dims) else None


def numbers(dims: Dims | None) -> PartialShape | None:
    """`dims` with None for every size that is no number."""
    if dims is None:
        return None
    return tuple(dim if isinstance(dim, int) else None for dim in dims)


def _bound(dims: Mapping[str, Dims | None], given: Mapping[str, Shape]) -> dict[str, int]:
    """The sizes of the symbolic names that given shapes settle."""
    for name, shape in given.items():
        _check_given(name, tuple(shape), dims)
    return {
        dim: value
        for name, shape in given.items()
        for dim, value in zip(dims[name] or (), shape, strict=False)
        if isinstance(dim, str)
    }


def _flag(name: str, shape: Shape) -> str:
    return f"--input-shapes {name}:{','.join(map(str, shape))}"


def _check_given(name: str, shape: Shape, dims: Mapping[str, Dims | None]) -> None:
    if name not in dims:
        known = ", ".join(f"'{other}'" for other in dims)
        raise ModelError(f"{_flag(name, shape)}: the model has no input '{name}', only {known}")
    if any(dim < 1 for dim in shape):
        raise ModelError(f"{_flag(name, shape)}: every dimension must be at least 1")
    declared = dims[name]
    if declared is None:
        return
    if len(declared) != len(shape):
        raise ModelError(
            f"{_flag(name, shape)}: input '{name}' has {len(declared)} dimensions, not {len(shape)}"
        )
    for axis, (dim, value) in enumerate(zip(declared, shape, strict=True)):
        if isinstance(dim, int) and dim != value:
            raise ModelError(
                f"{_flag(name, shape)}: dimension {axis} of input '{name}' is fixed to {dim}"
            )


def _resolve(
    name: str, declared: Dims | None, bound: Mapping[str, int], note: Callable[[str], None]
) -> Shape:
    if declared is None:
        raise ModelError(
            f"input '{name}' has no shape: give one, as in --input-shapes {name}:1,3,224,224"
        )
    shape: list[int] = []
    for axis, dim in enumerate(declared):
        if isinstance(dim, int):
            shape.append(dim)
        elif dim in bound:
            shape.append(bound[str(dim)])
        elif axis == 0:
            note(f"input '{name}': dynamic batch {dim or '?'} is taken as 1")
            shape.append(1)
        else:
            text = ", ".join("?" if d is None else str(d) for d in declared)
            raise ModelError(
                f"input '{name}' has dynamic dimensions [{text}]: "
                f"give its shape, as in --input-shapes {name}:1,3,224,224"
            )
    return tuple(shape)
