"""`--help` of every command: quick, because it imports little, and with what a user looks for."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys

import pytest

from alcs_onnx.cli import COMMANDS, build_parser, main

HEAVY = ("numpy", "onnx", "onnxruntime", "torch", "rich", "scipy", "matplotlib")


def printed_help(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as caught:
        main([*arguments, "--help"])
    assert caught.value.code == 0
    return capsys.readouterr().out


def test_help_imports_nothing_heavy() -> None:
    """In a process of its own; what one command imports is named with the command."""
    script = (
        "import contextlib, io, sys\n"
        "from alcs_onnx.cli import COMMANDS, main\n"
        "for command in ([], *([name] for name in COMMANDS), ['completion', 'bash']):\n"
        "    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n"
        "        main([*command, *(['--help'] if len(command) < 2 else [])])\n"
        f"    for name in {HEAVY}:\n"
        "        if name in sys.modules:\n"
        "            sys.exit(f'{command} imports {name}')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_list_of_commands(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed_help([], capsys)
    assert "exit status: 0 done; 1" in text.replace("\n", " ")
    for command in COMMANDS:
        assert re.search(rf"^ +{command}\b", text, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example_that_parses_and_the_exit_statuses(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed_help([command], capsys)
    for status in ("exit status: 0 done", "; 1 ", "; 2 bad input"):
        assert status in text
    [example] = re.findall(r"^example: alcs-onnx (.*)$", text, re.MULTILINE)
    options = build_parser([command]).parse_args(shlex.split(example))
    assert options.command == command


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_explained(command: str) -> None:
    parser = build_parser([command])
    [subparsers] = [a for a in parser._actions if a.dest == "command"]
    for action in subparsers.choices[command]._actions:  # type: ignore[index, union-attr]
        assert action.help, action.option_strings
