"""The parser of every command: errors of one line that suggest the nearest name, and plain help."""

from __future__ import annotations

import argparse
import re
import textwrap
from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import Any, NoReturn

#: `name   what it is`, indented: a row of a list in a description.
_ROW = re.compile(r"( +\S+ {2,})(\S.*)")


class Parser(argparse.ArgumentParser):
    """Says in one line what is wrong, and which flag may have been meant.

    Flags may be shortened as far as they are not ambiguous. Their help ends with the default, or
    with "(required)"; where the default is not argparse's own, the text says it in the same form.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"formatter_class": _Help, **kwargs})

    def error(self, message: str) -> NoReturn:
        """Print `alcs-onnx COMMAND: message` and end with status 2."""
        self.exit(2, f"{self.prog}: {' '.join(message.split())}\n")

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str], namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """As argparse's, but nothing is left over: what is not known is an error here.

        Unknown flags come first: what else is missing follows, more often than not, from them.
        """
        has_commands = self._subparsers is not None
        own = takewhile(_is_flag, args) if has_commands else takewhile("--".__ne__, args)
        for word in filter(_is_flag, own):
            self._check_flag(word)
        found, rest = super().parse_known_args(args, namespace)
        if rest:
            self.error(f"unexpected arguments: {' '.join(rest)}")
        return found, rest

    def shorten_usage(self) -> None:
        """Name only what is needed in the usage: the other flags are listed below it."""
        words = [self.prog]
        for action in self._actions:
            name = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
            if not action.option_strings:
                words.append(f"{name} [{name} ...]" if action.nargs == "+" else name)
            elif action.required:
                words.append(f"{action.option_strings[0]} {name}")
        self.usage = f"{' '.join(words)} [options]".replace("%", "%%")

    def _check_flag(self, word: str) -> None:
        # argparse has no public list of a parser's flags.
        known = self._option_string_actions
        flag = word.partition("=")[0]
        long = flag.startswith("--")
        if any(name.startswith(flag) for name in known) or (not long and flag[:2] in known):
            return
        hint = suggestion(flag.lstrip("-"), (n[2:] for n in known if n.startswith("--")))
        meant = f"did you mean --{hint}?" if hint else f"{self.prog} --help lists all"
        self.error(f"unknown flag {flag}: {meant}")


def _is_flag(word: str) -> bool:
    """Whether argparse takes a word for a flag: no number, no text, no `-` for standard output."""
    if not word.startswith("-") or word in ("-", "--") or " " in word:
        return False
    return not re.fullmatch(r"-(\d+|\d*\.\d+)", word)


def suggestion(word: str, known: Iterable[str]) -> str:
    """The known name that is most like `word`; empty where none is."""
    from difflib import get_close_matches

    return next(iter(get_close_matches(word, list(known), n=1)), "")


class _Help(argparse.HelpFormatter):
    """Help as wide as the terminal: descriptions keep their paragraphs, examples and lists."""

    def _get_help_string(self, action: argparse.Action) -> str:
        text = action.help or ""
        if action.required and action.option_strings:
            return f"{text} (required)"
        default = action.default
        if action.nargs == 0 or default in (None, argparse.SUPPRESS, "", [], ()):
            return text
        values = default if isinstance(default, (list, tuple)) else [default]
        shown = " ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in values)
        return f"{text} (default {shown})".replace("%", "%%")

    def _split_lines(self, text: str, width: int) -> list[str]:
        """Flags and names stay in one piece."""
        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        paragraphs = re.split(r"\n\s*\n", textwrap.dedent(text).strip("\n"))
        return "\n\n".join(
            textwrap.indent("\n".join(_filled(paragraph.splitlines(), width)), indent)
            for paragraph in paragraphs
        )


def _filled(lines: Sequence[str], width: int) -> list[str]:
    """A paragraph, wrapped anew; of one that has an example or a list, each entry by itself."""
    if lines[0].startswith("example:"):
        return list(lines)
    entries: list[tuple[str, str]] = []
    for line in lines:
        row = _ROW.fullmatch(line)
        if row is not None:
            entries.append((row[1], row[2]))
        elif entries:
            entries[-1] = (entries[-1][0], f"{entries[-1][1]} {line.strip()}")
        else:
            entries.append(("", line))
    return [
        line
        for head, text in entries
        for line in textwrap.wrap(
            text,
            width,
            initial_indent=head,
            subsequent_indent=" " * len(head),
            break_on_hyphens=False,
            break_long_words=False,
        )
    ]
