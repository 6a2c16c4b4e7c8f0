"""Writing files so that a reader never sees half of one, and results as JSON."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alcs_onnx.errors import OutputError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends without error.

    The folder must exist. Raises `OutputError` when it cannot be written; an existing file
    at `path` stays as it was in every case but success.
    """
    check_writable(path)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` to `path` through `replacing`."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def make_folder(path: Path) -> None:
    """Make the folder and those above it where they are not there; `OutputError` if impossible."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {path}: {error.strerror or error}") from error


def check_folder(path: Path) -> None:
    """Raise `OutputError` if files could not be written in a folder at `path`, made or not yet.

    Changes nothing.
    """
    there = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    if not there.is_dir():
        raise OutputError(f"cannot write {path}: {there} is no folder")
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


def to_jsonable(value: Any) -> Any:
    """Dataclasses to objects, tuples to lists, paths to text, and non-finite numbers to null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_jsonable(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict) or hasattr(value, "items"):
        return {str(key): to_jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_jsonable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, (str, int, float, bool)) or value is None:
        return value
    return str(value)


def document(kind: str, schema: int, content: Any) -> dict[str, Any]:
    """What a JSON file holds: its kind, the number of its layout, and then `content`'s entries.

    Every file of results begins so. `content` is a mapping or a dataclass.
    """
    return {"kind": kind, "schema": schema, **to_jsonable(content)}


def with_derived(value: Any, names: Iterable[str]) -> dict[str, Any]:
    """The fields of a dataclass, and its properties `names`, for readers in other languages."""
    return {**to_jsonable(value), **{name: to_jsonable(getattr(value, name)) for name in names}}


def write_json(path: Path, result: Any) -> None:
    """Write a result value as JSON; raises `OutputError` when `path` cannot be written."""
    text = json.dumps(to_jsonable(result), indent=2) + "\n"
    write_atomically(path, text.encode())


def check_writable(path: Path, *inputs: Path) -> None:
    """Raise `OutputError` if a file at `path` could not be made or replaced.

    `inputs` are files that are still needed, so `path` must be none of them.
    """
    if any(path.resolve() == other.resolve() for other in inputs):
        raise OutputError(f"cannot write {path}: it is an input of this command")
    folder = path.parent
    if path.exists() and not path.is_file():
        kind = "a folder" if path.is_dir() else "not a regular file"
        raise OutputError(f"cannot write {path}: it is {kind}")
    if not folder.is_dir():
        raise OutputError(f"cannot write {path}: there is no folder {folder}")
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=folder)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    os.close(handle)
    Path(name).unlink()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
