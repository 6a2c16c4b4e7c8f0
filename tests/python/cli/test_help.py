"""`--help` of every command: quick, because it imports little, and with what a user looks for."""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys

import pytest

from alcs_onnx.cli import COMMANDS, build_parser, main
from alcs_onnx.cli.training import destination
from alcs_onnx.pipeline.bench.result import PERCENTILES
from alcs_onnx.pipeline.compare.inputs import RANDOM_SAMPLES
from alcs_onnx.pipeline.compress import CompressOptions
from alcs_onnx.pipeline.optimize import ChannelOptions
from alcs_onnx.solve import SOLVERS

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
    assert "--require" not in text
    for command in COMMANDS:
        assert re.search(rf"^ +{command}\b", text, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example_that_parses_and_the_exit_statuses(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed_help([command], capsys)
    words = " ".join(text.split())
    assert "exit status: 0 done; " in words
    assert "; 2 bad input" in words
    # 1 where there is something to reach, and by no flag that the command does not have.
    reaching = {
        "optimize",
        "prune-masks",
        "sweep",
        "compare",
        "compile",
        "compress",
        "compare-structures",
    }
    assert ("; 1 " in words) == (command in reaching)
    assert ("--require-agreement" in text) == (command == "compare")
    assert text.count("--require") in (0, text.count("--require-agreement"))
    [example] = re.findall(r"^example: alcs-onnx (.*)$", text, re.MULTILINE)
    options = build_parser([command]).parse_args(shlex.split(example))
    assert options.command == command


def actions_of(command: str) -> list[argparse.Action]:
    """The flags and arguments of a command."""
    parser = build_parser([command])
    [subparsers] = [a for a in parser._actions if a.dest == "command"]
    return subparsers.choices[command]._actions  # type: ignore[index]


def explained(text: str) -> dict[str, str]:
    """What a help text says of each long flag, on one line."""
    flags, name = {}, ""
    for line in text.splitlines():
        if match := re.match(r"  (?:-\w \S+, )?(--[\w-]+)", line):
            name = match[1]
            flags[name] = line
        elif line.startswith(" " * 24) and name:
            flags[name] += line
        else:
            name = ""
    return {flag: " ".join(said.split()) for flag, said in flags.items()}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_explained(command: str) -> None:
    for action in actions_of(command):
        assert action.help, action.option_strings


@pytest.mark.parametrize("columns", [80, 100])
@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_help_fits_the_terminal(
    command: str | None,
    columns: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if columns == 80:
        monkeypatch.delenv("COLUMNS", raising=False)  # as where it is piped
    else:
        monkeypatch.setenv("COLUMNS", str(columns))
    lines = printed_help([command] if command else [], capsys).splitlines()
    assert max(map(len, lines)) <= columns
    if columns > 80 and command == "optimize":
        assert max(map(len, lines)) > 80
    assert [line for line in lines if line != line.rstrip()] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_defaults_are_written_in_one_way(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Those that argparse knows are its own; no other notation is left in the texts."""
    flags = explained(printed_help([command], capsys))
    for action in actions_of(command):
        flag = action.option_strings[-1] if action.option_strings else None
        if flag is None or flag == "--help":
            continue
        said = flags[flag]
        assert said.count("(default ") <= 1
        assert not re.search(r"default[:)=]|\(defaults", said), said
        assert not re.search(r"\((\S+)\) \(default \1\)", said), said
        assert said.endswith("(required)") == action.required
        default = action.default
        if action.nargs != 0 and isinstance(default, (int, float, str)) and default != "":
            if default == argparse.SUPPRESS:
                continue
            shown = f"{default:g}" if isinstance(default, float) else default
            assert said.endswith(f"(default {shown})")


def test_defaults_that_stand_elsewhere_are_those(capsys: pytest.CaptureFixture[str]) -> None:
    config = pytest.importorskip("alcs_onnx.train.config").TrainConfig()
    flags = explained(printed_help(["optimize"], capsys))
    checked = set()
    for action in actions_of("optimize"):
        for owner, field in ((config, "training_"), (ChannelOptions(), "")):
            name = action.dest.removeprefix(field)
            if not hasattr(owner, name) or action.dest != f"{field}{name}":
                continue
            value, said = getattr(owner, name), flags[action.option_strings[-1]]
            if isinstance(value, (int, float, str)) and action.nargs != 0:
                shown = f"{value:g}" if isinstance(value, float) else value
                assert re.search(rf"\(default {re.escape(str(shown))}[,)]", said), said
                checked.add(action.dest)
    assert {"score", "solver", "stages", "min_share", "contributions"} <= checked
    assert {destination(x) for x in ("lr", "rho_adapt", "admm_epochs", "batch_size")} <= checked
    percentiles = " ".join(f"{p:g}" for p in PERCENTILES)
    assert f"(default {percentiles})" in explained(printed_help(["bench"], capsys))["--percentile"]
    assert f"(default {SOLVERS.default})" in flags["--projection"]
    rule = CompressOptions(levels="3bit").rule
    for command in ("compress", "compare-structures"):
        assert f"(default {rule})" in explained(printed_help([command], capsys))["--rule"]
    samples = explained(printed_help(["compare"], capsys))["--samples"]
    assert samples.endswith(f"(default all, or {RANDOM_SAMPLES})")


def test_the_output_says_whether_it_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    said = {c: explained(printed_help([c], capsys)).get("--output", "") for c in COMMANDS}
    assert {c for c, text in said.items() if text.endswith("(required)")} == {
        *("sweep", "prune-masks", "compile", "compress", "profile")
    }
    assert said["optimize"].endswith("(required without --dry-run)")
