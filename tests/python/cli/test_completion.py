"""Completion scripts, asked by the shells themselves."""

from __future__ import annotations

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

from alcs_onnx.cli import COMMANDS, build_parser, main
from alcs_onnx.cli.completion import SHELLS
from alcs_onnx.cli.completion_scripts import SCRIPTS
from alcs_onnx.cli.completion_words import read_program
from alcs_onnx.pipeline.optimize.methods import METHODS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files to complete, and the scripts."""
    place = tmp_path_factory.mktemp("completion")
    program = read_program(build_parser(COMMANDS))
    for shell, write in SCRIPTS.items():
        (place / f"script.{shell}").write_text(write(program))
    (place / "dense model.onnx").touch()
    (place / "delta.onnx").touch()
    (place / "depot").mkdir()
    return place


def said(command: list[str], folder: Path) -> list[str]:
    """What a shell prints in its folder, which is its home, too; it must not complain."""
    done = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "HOME": str(folder)},
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


def bash(folder: Path, *words: str) -> list[str]:
    """What bash offers for the last of the words, split as its readline splits them."""
    script = (
        f"source script.bash; COMP_WORDS=({' '.join(map(shlex.quote, ('alcs-onnx', *words)))}); "
        f"COMP_CWORD={len(words)}; _alcs_onnx; "
        '((${#COMPREPLY[@]})) && printf "%s\\n" "${COMPREPLY[@]}"; true'
    )
    lines = said(["bash", "--norc", "-c", script], folder)
    return sorted(lines)


def fish(folder: Path, *words: str) -> list[str]:
    line = " ".join(("alcs-onnx", *words))
    script = f"source script.fish; complete -C {shlex.quote(line)}"
    lines = said(["fish", "--no-config", "-c", script], folder)
    found = (line.split("\t")[0] for line in lines)
    return sorted(word.replace("\\ ", " ").rstrip("/") for word in found)


def zsh(folder: Path, *words: str) -> list[str]:
    """What zsh lists, read off a terminal."""
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(folder)
        os.environ.update(TERM="dumb", HOME=str(folder), COLUMNS="300")
        os.execvp("zsh", ["zsh", "-f", "-i"])
    try:
        setup = (
            "stty -echo; autoload -U compinit; compinit -u -D; source ./script.zsh; PS1=''; "
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
    assert ask("optimize", "in.onnx", "--method", "") == sorted(METHODS)


def test_choices_of_an_argument(ask) -> None:
    assert ask("completion", "") == ["bash", "fish", "zsh"]


def test_files_where_a_model_is_read(ask) -> None:
    assert ask("bench", "de") == ["delta.onnx", "dense model.onnx", "depot"]


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
    assert bash(folder, "optimize", "--method", "=", "s") == ["shape", "simd"]
    assert bash(folder, "optimize", "--method", "=") == bash(folder, "optimize", "--method", "")
    assert bash(folder, "optimize", "--checkpoint", "de") == ["depot"]
    assert bash(folder, "compile", "~/dep") == [str(folder / "depot")]
    assert bash(folder, "--ver") == ["--version"]
    assert bash(folder, "frobnicate", "") == []


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_names_every_flag_of_every_command(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    program = read_program(build_parser(COMMANDS))
    assert [command.name for command in program.commands] == list(COMMANDS)
    for command in program.commands:
        assert command.name in script
        assert command.options
        for flag in (flag for word in command.options for flag in word.flags):
            in_fish = f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}"
            assert (in_fish if shell == "fish" else flag) in script


def test_the_script_is_static(folder: Path) -> None:
    """Nothing of this package runs, nor anything else, while a shell completes."""
    calls = re.findall(r"\$\((\w+)|`", (folder / "script.bash").read_text())
    assert set(calls) == {"compgen"}
    for line in (folder / "script.fish").read_text().splitlines():
        assert line.startswith(("complete -c alcs-onnx ", "# "))
    texts = re.sub(r"'[^']*'(?:\\''[^']*')*", "", (folder / "script.zsh").read_text())
    assert "$(" not in texts
    assert "`" not in texts


def test_bash_can_parse_it(folder: Path) -> None:
    subprocess.run(["bash", "-n", str(folder / "script.bash")], check=True)


def test_another_shell_is_refused() -> None:
    with pytest.raises(SystemExit) as caught:
        main(["completion", "tcsh"])
    assert caught.value.code == 2
