"""Writing files: whole or not at all, whatever happens, and with the permissions one expects."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from alcs_onnx.errors import OutputError
from alcs_onnx.files import check_writable, replacing, write_atomically

posix = pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")


@contextlib.contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
        assert temporary.parent == tmp_path
        assert temporary.name.startswith(".a.txt.")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def interrupted_by(error: type[BaseException], path: Path) -> None:
    with replacing(path) as temporary:
        temporary.write_text("half")
        raise error


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError, GeneratorExit])
def test_an_interruption_leaves_what_was_there(
    error: type[BaseException], there: bool, tmp_path: Path
) -> None:
    path = tmp_path / "a.txt"
    if there:
        path.write_text("old")
    with pytest.raises(error):
        interrupted_by(error, path)
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"] * there
    assert not there or path.read_text() == "old"


def test_an_error_while_writing_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(OutputError, match=rf"cannot write {path}: No space"), replacing(path):
        raise OSError(28, "No space left on device")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


#: Under a shell that put the tests into the background Ctrl-C would be ignored.
WRITER = """
import signal, sys, time
from pathlib import Path
from alcs_onnx.files import replacing
signal.signal(signal.SIGINT, signal.default_int_handler)
with replacing(Path(sys.argv[1])) as temporary, temporary.open("w") as file:
    while True:
        file.write("half ")
        file.flush()
        time.sleep(0.001)
"""


@posix
def test_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stderr=subprocess.PIPE
    ) as process:
        deadline = time.monotonic() + 60
        while len(list(tmp_path.iterdir())) < 2:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        try:
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert b"KeyboardInterrupt" in errors
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_text() == "old"


@posix
@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_permissions_are_those_of_a_plain_open(mask: int, tmp_path: Path) -> None:
    new, plain = tmp_path / "new", tmp_path / "plain"
    with umask(mask):
        write_atomically(new, b"x")
        plain.write_text("x")
    assert mode(new) == mode(plain) == 0o666 & ~mask


@posix
@pytest.mark.parametrize("kept", [0o600, 0o640, 0o664, 0o444])
def test_a_file_that_is_there_keeps_its_permissions(kept: int, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    path.chmod(kept)
    with replacing(path) as temporary:
        # Nobody else reads what is going to be private.
        assert mode(temporary) == 0o600
        temporary.write_text("new")
    assert path.read_text() == "new"
    assert mode(path) == kept


@posix
def test_the_target_of_a_link_is_replaced(tmp_path: Path) -> None:
    real, link = tmp_path / "store" / "real.txt", tmp_path / "here" / "link.txt"
    real.parent.mkdir()
    link.parent.mkdir()
    link.symlink_to(Path("..") / "store" / "real.txt")
    for text in ("first", "second"):  # the first time it points nowhere
        write_atomically(link, text.encode())
        assert link.is_symlink()
        assert real.read_text() == text
        assert not real.is_symlink()
    assert list(real.parent.iterdir()) == [real]
    assert list(link.parent.iterdir()) == [link]


@posix
def test_links_that_lead_nowhere(tmp_path: Path) -> None:
    circle, lost = tmp_path / "circle", tmp_path / "lost"
    circle.symlink_to(circle)
    lost.symlink_to(tmp_path / "no folder" / "file")
    for path in (circle, lost):
        with pytest.raises(OutputError, match=f"cannot write {path}: "):
            write_atomically(path, b"x")
        with pytest.raises(OutputError, match=f"cannot write {path}: "):
            check_writable(path)
        assert path.is_symlink()


@pytest.mark.parametrize("name", ["n" * 255, "ö" * 127])
def test_the_longest_names(name: str, tmp_path: Path) -> None:
    write_atomically(tmp_path / name, b"x")
    assert [file.name for file in tmp_path.iterdir()] == [name]


@posix
def test_places_that_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    os.mkfifo(tmp_path / "pipe")
    for path, words in (
        (tmp_path, "it is a folder"),
        (tmp_path / "pipe", "it is not a regular file"),
        (Path("/dev/null"), "it is not a regular file"),
        (tmp_path / "none" / "a.txt", "there is no folder"),
        (tmp_path / "file" / "a.txt", "there is no folder"),
    ):
        for write in (check_writable, lambda path: write_atomically(path, b"x")):
            with pytest.raises(OutputError, match=f"cannot write {path}: {words}"):
                write(path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "pipe"]


def test_asking_changes_nothing(tmp_path: Path) -> None:
    old = tmp_path / "old.txt"
    old.write_text("old")
    before = old.stat()
    check_writable(old)
    check_writable(tmp_path / "new.txt")
    assert (old.stat().st_ino, old.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert list(tmp_path.iterdir()) == [old]
    with pytest.raises(OutputError, match="it is an input of this command"):
        check_writable(tmp_path / "sub" / ".." / "old.txt", old)
