"""Values as JSON files, and back: the one codec of all that `alcs_onnx.formats` lists.

Dataclasses are objects, tuples arrays, mappings objects, and numbers that are not finite null,
which a field of type float reads as NaN. Reading is strict: a text is no number, and all fields
have to be there but those whose default is None. Entries that are no field are passed over, so
that a file can hold what follows from the others.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from types import GenericAlias
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar, get_args, get_origin

import numpy as np

from alcs_onnx.errors import AlcsError
from alcs_onnx.files import write_atomically
from alcs_onnx.formats import Format

if TYPE_CHECKING:
    from cattrs import Converter


class Document(Protocol):
    """A dataclass that is the content of a file."""

    format: ClassVar[Format]


_Document = TypeVar("_Document", bound=Document)
_Value = TypeVar("_Value")


def plain(value: Any) -> Any:
    """`value` as JSON has it: dicts, lists or tuples, texts, numbers and None."""
    return _converter().unstructure(value)


def document(value: Document, content: Any = None) -> dict[str, Any]:
    """What the file of `value` holds: kind, version, and then its fields.

    `content` takes the place of the fields where a file holds more than they do, or less.
    """
    content = value if content is None else content
    return {"kind": value.format.kind, "schema": value.format.version, **plain(content)}


def document_text(value: Document, content: Any = None) -> str:
    """`document` as the text of a file."""
    return _text(document(value, content), value.format.indent)


def write_document(path: Path, value: Document, content: Any = None) -> None:
    """Write `document` to `path`; raises `OutputError` when it cannot be written."""
    write_atomically(path, document_text(value, content).encode())


def write_json(path: Path, value: Any) -> None:
    """Write any value as JSON; raises `OutputError` when `path` cannot be written."""
    write_atomically(path, _text(plain(value), 2).encode())


def with_derived(value: Any, names: Iterable[str]) -> dict[str, Any]:
    """The fields of a dataclass, and its properties `names`, for readers in other languages."""
    return {**plain(value), **{name: plain(getattr(value, name)) for name in names}}


def read_document(path: Path, of: type[_Document]) -> _Document:
    """The value that the file at `path` holds.

    Raises `AlcsError`, in one line that names the file, where it cannot be read, is not of the
    kind or of a version of `of`, or is damaged; then the line names the field.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise AlcsError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise AlcsError(f"{path}: damaged, or not a {of.format.name} ({error})") from error
    _check_kind(path, content, of.format)
    try:
        return from_plain(_current(content, of.format), of)
    except (AlcsError, AttributeError, TypeError) as error:
        raise AlcsError(f"{path}: damaged {of.format.name} ({error})") from error


def from_plain(content: Any, of: type[_Value]) -> _Value:
    """The value of the type `of` that `plain` made `content` of; `AlcsError` names the field."""
    try:
        return _converter().structure(content, of)
    except Exception as error:  # an ExceptionGroup of whatever the fields' hooks raise
        raise AlcsError(_first(error)) from error


def _check_kind(path: Path, content: Any, form: Format) -> None:
    """Raise `AlcsError` for another kind of file, or a version that is not read."""
    if not isinstance(content, dict):
        raise AlcsError(f"{path}: damaged, or not a {form.name}")
    kind = content.get("kind", None if form.always_named else form.kind)
    if kind != form.kind:
        found = "it does not say what it is" if kind is None else f"it is an {kind}"
        raise AlcsError(f"{path}: not a {form.name} ({found})")
    version = content.get("schema")
    if type(version) is not int or version not in form.readable:
        first, last = form.readable[0], form.version
        known = f"{first} to {last}" if first != last else f"{last}"
        raise AlcsError(
            f"{path}: schema {version}, this version reads {known}: "
            "it was written by another version"
        )


def _current(content: dict[str, Any], form: Format) -> dict[str, Any]:
    """The content in the version that is written."""
    for old in range(content["schema"], form.version):
        content = form.upgrades[old](content)
    return content


def _text(content: Any, indent: int) -> str:
    return json.dumps(content, indent=indent, allow_nan=False, default=_other) + "\n"


def _other(value: Any) -> Any:
    """What JSON has for numbers of numpy; for paths and all else, their text."""
    return plain(value.item()) if isinstance(value, np.generic) else str(value)


@cache
def _converter() -> Converter:
    """Made when the first value is read or written: importing cattrs takes 50 ms."""
    from cattrs import Converter
    from cattrs.cols import is_mapping
    from cattrs.gen import make_dict_structure_fn

    converter = Converter()
    hook = converter.register_structure_hook
    hook(str, lambda value, _: _checked(value, str, "a text"))
    hook(bool, lambda value, _: _checked(value, bool, "true or false"))
    hook(int, lambda value, _: _checked(value, int, "an integer"))
    hook(float, lambda value, _: _number(value))
    converter.register_structure_hook_func(lambda kind: kind is object, lambda value, _: value)

    def made(factory: Callable[[Any], Any], check: Callable[[Any, Any], Any]) -> Any:
        """A factory of hooks that look at the value before they take it apart."""

        def hook_for(kind: Any) -> Callable[[Any, Any], Any]:
            structure = factory(kind)
            return lambda value, of: structure(check(value, kind), of)

        return hook_for

    def structure_tuple(kind: Any) -> Callable[[Any, Any], Any]:
        items: Any = GenericAlias(list, get_args(kind)[0])
        return lambda value, _: tuple(converter.structure(value, items))

    for fits, factory, check in (
        (_is_dataclass, lambda kind: make_dict_structure_fn(kind, converter), _complete),
        (is_mapping, converter.gen_structure_mapping, _object),
        (_is_tuple, structure_tuple, _array),
    ):
        converter.register_structure_hook_factory(fits, made(factory, check))
    converter.register_unstructure_hook(float, _finite)
    return converter


def _is_dataclass(kind: Any) -> bool:
    return isinstance(kind, type) and is_dataclass(kind)


def _is_tuple(kind: Any) -> bool:
    return get_origin(kind) is tuple and get_args(kind)[1:] == (...,)


def _complete(value: Any, kind: type[Any]) -> Any:
    """`value` if it is an object that has the fields of the dataclass `kind`."""
    _checked(value, dict, "an object")
    for item in fields(kind):
        if item.init and item.default is not None and item.name not in value:
            raise KeyError(item.name)
    return value


def _object(value: Any, _: Any) -> Any:
    return _checked(value, dict, "an object")


def _array(value: Any, _: Any) -> Any:
    return _checked(value, list, "an array")


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _checked(value: Any, kind: type[Any], called: str) -> Any:
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise TypeError(f"{_shown(value)} is not {called}")
    return value


def _number(value: Any) -> float:
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{_shown(value)} is not a number")
    return float(value)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}…"


def _first(error: Exception) -> str:
    """The first thing that is wrong, with the place: `machine.cpu: 7 is not a text`."""
    from cattrs import transform_error

    told = transform_error(error, "$", lambda reason, _: _reason(reason))[0]
    reason, _, place = " ".join(told.split()).rpartition(" @ $")
    place = place.removeprefix(".")
    return f"{place}: {reason}" if place else reason


def _reason(error: BaseException) -> str:
    if isinstance(error, KeyError) and error.args:
        return f"'{error.args[0]}' is missing"
    return str(error)
