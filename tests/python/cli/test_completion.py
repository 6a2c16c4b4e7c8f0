"""Completion scripts, asked by the shells themselves."""

from __future__ import annotations

import contextlib
import io
import os
import pty
import re
import select
import shlex
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from alcs_onnx.cli import COMMANDS, main
from alcs_onnx.cli.completion import SHELLS
from alcs_onnx.pipeline.optimize.methods import AUTO, METHODS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files to complete, and the scripts."""
    place = tmp_path_factory.mktemp("completion")
    for shell, name in {"bash": "script.bash", "fish": "script.fish", "zsh": "_alcs-onnx"}.items():
        (place / name).write_text(script(shell))
    (place / "dense model.onnx").touch()
    (place / "delta.onnx").touch()
    (place / "depot").mkdir()
    (place / "bin").mkdir()
    for name in ("alcs-onnx", "python", "python3"):
        (place / "bin" / name).write_text(f"#!/bin/sh\necho {name} >> '{place}/ran'\n")
        (place / "bin" / name).chmod(0o755)
    return place


def script(shell: str) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert main(["completion", shell]) == 0
    return printed.getvalue()


def surroundings(folder: Path) -> dict[str, str]:
    """A home in the folder, and programs that tell on whoever runs them."""
    return {**os.environ, "HOME": str(folder), "PATH": f"{folder}/bin:{os.environ['PATH']}"}


def said(command: list[str], folder: Path) -> list[str]:
    """What a shell prints in its folder, which is its home, too; it must not complain."""
    done = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        env=surroundings(folder),
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


def bash(folder: Path, *words: str) -> list[str]:
    """What bash offers for the last of the words, split as its readline splits them."""
    commands = (
        f"source script.bash; COMP_WORDS=({' '.join(map(shlex.quote, ('alcs-onnx', *words)))}); "
        f"COMP_CWORD={len(words)}; _alcs_onnx; "
        '((${#COMPREPLY[@]})) && printf "%s\\n" "${COMPREPLY[@]}"; true'
    )
    return sorted(said(["bash", "--norc", "-c", commands], folder))


def fish(folder: Path, *words: str) -> list[str]:
    line = " ".join(("alcs-onnx", *words))
    commands = f"source script.fish; complete -C {shlex.quote(line)}"
    lines = said(["fish", "--no-config", "-c", commands], folder)
    found = (line.split("\t")[0] for line in lines)
    return sorted(word.replace("\\ ", " ").rstrip("/") for word in found)


def zsh(folder: Path, *words: str) -> list[str]:
    """What zsh lists, read off a terminal."""
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(folder)
        os.environ.update(surroundings(folder), TERM="dumb", COLUMNS="300")
        os.execvp("zsh", ["zsh", "-f", "-i"])
    try:
        setup = (
            "stty -echo; fpath=($HOME $fpath); autoload -U compinit; compinit -u -D; PS1=''; "
            "zstyle ':completion:*' list-separator '#'; bindkey '^X' list-choices; echo read''y\n"
        )
        os.write(terminal, setup.encode())
        assert "rror" not in _read_until(terminal, "\nready")
        os.write(terminal, " ".join(("alcs-onnx", *words)).encode() + b"\x18")
        text = _read_until(terminal, None)
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        os.close(terminal)
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "").split("\n")[1:]
    listed = [line for line in lines if not line.startswith("alcs-onnx ")]
    found = (
        # Words with an explanation have a line each, others share it.
        [re.split(r"\s+#", line)[0]] if "#" in line else re.split(r"\s{2,}", line.strip())
        for line in listed
    )
    return sorted(w.replace("\\ ", " ").rstrip("/") for row in found for w in row if w)


def _read_until(terminal: int, mark: str | None) -> str:
    """What the terminal prints up to a mark, or until it is silent for a second."""
    text, end = "", time.monotonic() + 60
    while time.monotonic() < end and (mark is None or mark not in text):
        ready, _, _ = select.select([terminal], [], [], 1.0)
        if not ready:
            if mark is None and text:
                return text
            continue
        text += os.read(terminal, 65536).decode(errors="replace")
    return text


ASK = {"bash": bash, "fish": fish, "zsh": zsh}


@pytest.fixture(params=SHELLS)
def ask(request: pytest.FixtureRequest, folder: Path) -> object:
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    return lambda *words: ASK[request.param](folder, *words)


def test_commands(ask) -> None:
    assert ask("comp") == sorted(name for name in COMMANDS if name.startswith("comp"))
    assert ask("") == sorted(COMMANDS)


def test_options_of_a_command(ask) -> None:
    assert ask("bench", "--per") == ["--percentile"]
    found = ask("compare", "--")
    assert {"--data", "--details", "--require-agreement", "--tolerance"} <= set(found)
    assert "--percentile" not in found  # of another command


def test_choices_of_an_option(ask) -> None:
    assert ask("optimize", "in.onnx", "--method", "") == sorted([AUTO, *METHODS])


def test_choices_of_an_argument(ask) -> None:
    assert ask("completion", "") == ["bash", "fish", "zsh"]


def test_files_where_a_model_is_read(ask) -> None:
    files = ["delta.onnx", "dense model.onnx", "depot"]
    assert ask("bench", "de") == files
    assert ask("bench", "a.onnx", "b.onnx", "de") == files  # one of several
    assert ask("compare", "a.onnx", "de") == files


def test_folders_alone_where_a_folder_is_wanted(ask) -> None:
    assert ask("optimize", "in.onnx", "--checkpoint", "de") == ["depot"]


def test_bash_knows_where_it_is(folder: Path) -> None:
    """Values are not taken for arguments, nor what follows an equals sign or a colon for words."""
    files = ["delta.onnx", "dense model.onnx", "depot"]
    assert bash(folder, "bench", "--threads", "1", "de") == files
    assert bash(folder, "bench", "--threads", "") == []  # a number: nothing to offer
    assert bash(folder, "compare", "--details", "a.onnx", "de") == files
    assert bash(folder, "compare", "a.onnx", "b.onnx", "de") == []  # no third model
    assert bash(folder, "compare", "--input-shapes", "x", ":", "1,3", "") == []
    assert bash(folder, "optimize", "--method", "=", "s") == ["shape", "simd", "simd-int8"]
    assert bash(folder, "optimize", "--method", "=") == bash(folder, "optimize", "--method", "")
    assert bash(folder, "optimize", "--checkpoint", "de") == ["depot"]
    assert bash(folder, "compile", "~/dep") == ["~/depot"]
    assert bash(folder, "--ver") == ["--version"]
    assert bash(folder, "frobnicate", "") == []


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_names_every_flag_of_every_command(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = script(shell)
    for command in COMMANDS:
        assert command in text
        with pytest.raises(SystemExit):
            main([command, "--help"])
        flags = set(
            re.findall(r"^  (?:-\w[^,]*, )?(--[\w-]+)", capsys.readouterr().out, re.MULTILINE)
        )
        assert "--verbose" in flags
        for flag in flags:
            assert (f"-l {flag[2:]}" if shell == "fish" else flag) in text


def test_the_script_is_static(ask, folder: Path) -> None:
    """Nothing of this package runs while a shell completes."""
    assert ask("optimize", "in.onnx", "--b")
    assert not (folder / "ran").exists()


def test_bash_can_parse_it(folder: Path) -> None:
    subprocess.run(["bash", "-n", str(folder / "script.bash")], check=True)


def test_another_shell_is_refused() -> None:
    with pytest.raises(SystemExit) as caught:
        main(["completion", "tcsh"])
    assert caught.value.code == 2
