"""Writing files so that a reader never sees half of one.

Everything that this package writes goes through `replacing`: one rule for where the temporary
file lies, for who may read the result, and for what an interruption leaves behind (nothing).
"""

from __future__ import annotations

import os
import secrets
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from alcs_onnx.errors import OutputError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` that takes its place when the block ends without error.

    Permissions are those that a plain `open(path, "w")` leaves: of a new file what the umask
    allows, of an existing one its own, so that a private file stays private and a shared one
    shared. Where `path` is a symbolic link, the file that it points to is replaced.

    In every case but success, Ctrl-C included, an existing file stays as it was and no temporary
    file is left. The folder must exist. Raises `OutputError` when it cannot be written.
    """
    with _temporary(path) as (temporary, target, mode):
        yield temporary
        if mode is not None:
            temporary.chmod(mode)
        temporary.replace(target)


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` to `path` through `replacing`."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def check_writable(path: Path, *inputs: Path) -> None:
    """Raise `OutputError` if a file at `path` could not be made or replaced.

    `inputs` are files that are still needed, so `path` must be none of them.
    """
    if any(path.resolve() == other.resolve() for other in inputs):
        raise OutputError(f"cannot write {path}: it is an input of this command")
    with _temporary(path):
        pass


@contextmanager
def _temporary(path: Path) -> Iterator[tuple[Path, Path, int | None]]:
    """A new file beside the one that `path` means, that one, and its permissions if it is there.

    The temporary file is gone after the block, unless it was renamed.
    """
    target = Path(os.path.realpath(path))
    try:
        mode = _mode(path)
        if not target.parent.is_dir():
            raise OutputError(f"cannot write {path}: there is no folder {path.parent}")
        # The name is short whatever the file's is, since names have a longest length.
        temporary = target.with_name(f".{target.name[:32]}.{secrets.token_hex(4)}.tmp")
        try:
            # Within the block that removes it: an interruption may come right after it is made.
            # Nobody else may read what is to be private before it has its permissions.
            access = 0o666 if mode is None else 0o600
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, access))
            yield temporary, target, mode
        finally:
            with suppress(FileNotFoundError):
                temporary.unlink()
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


def _mode(path: Path) -> int | None:
    """Permissions of the file at `path`, None where there is none yet."""
    try:
        found = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not stat.S_ISREG(found):
        kind = "a folder" if stat.S_ISDIR(found) else "not a regular file"
        raise OutputError(f"cannot write {path}: it is {kind}")
    return stat.S_IMODE(found) & 0o777


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
