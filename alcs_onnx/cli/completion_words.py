"""What can be completed, read off the argument parsers."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from enum import Enum
from pathlib import Path


class Kind(Enum):
    """What an option or argument takes."""

    NOTHING = "nothing"
    TEXT = "text"
    CHOICE = "choice"
    FILE = "file"
    FOLDER = "folder"


@dataclass(frozen=True)
class Word:
    """An option with its `flags`, or without any, an argument. `many`: it takes several values."""

    flags: tuple[str, ...]
    help: str
    kind: Kind
    metavar: str
    choices: tuple[str, ...] = ()
    many: bool = False


@dataclass(frozen=True)
class Command:
    """One command. The last of `arguments` may take all that follow."""

    name: str
    help: str
    options: tuple[Word, ...]
    arguments: tuple[Word, ...] = ()


@dataclass(frozen=True)
class Program:
    """The program's own options and its commands."""

    name: str
    options: tuple[Word, ...]
    commands: tuple[Command, ...]


def read_program(parser: argparse.ArgumentParser) -> Program:
    """The words of a parser with sub-commands, all of which are filled in."""
    # argparse has no public way to ask a parser what it knows; this is what it has had always.
    [subparsers] = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    summaries = {choice.dest: choice.help or "" for choice in subparsers._choices_actions}
    return Program(
        parser.prog,
        _options(parser),
        tuple(
            Command(
                name,
                summaries.get(name, ""),
                _options(sub),
                tuple(_word(a) for a in sub._actions if not a.option_strings),
            )
            for name, sub in subparsers.choices.items()
        ),
    )


def _options(parser: argparse.ArgumentParser) -> tuple[Word, ...]:
    shown = (a for a in parser._actions if a.option_strings and a.help != argparse.SUPPRESS)
    return tuple(_word(action) for action in shown)


def _word(action: argparse.Action) -> Word:
    metavar = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    return Word(
        tuple(action.option_strings),
        " ".join((action.help or "").replace("%%", "%").split()),
        _kind(action, metavar),
        metavar,
        tuple(map(str, action.choices or ())),
        action.nargs in ("+", "*"),
    )


def _kind(action: argparse.Action, metavar: str) -> Kind:
    if action.nargs == 0:
        return Kind.NOTHING
    if action.choices:
        return Kind.CHOICE
    if metavar == "FOLDER":
        return Kind.FOLDER
    if action.type is Path or "FILE" in metavar:
        return Kind.FILE
    return Kind.TEXT
