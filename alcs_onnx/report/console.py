"""The terminal: one console for results, one for what happens on the way."""

from __future__ import annotations

import shutil
import sys

from rich.console import Console

from alcs_onnx.report.console_table import printable

#: Results go to standard output, so that they can be piped: 80 columns then, or $COLUMNS.
out = Console(
    highlight=False,
    markup=False,
    emoji=False,
    width=None if sys.stdout.isatty() else shutil.get_terminal_size().columns,
)
#: Progress and notes go to standard error.
err = Console(stderr=True, highlight=False, markup=False, emoji=False)


def say(*lines: str, style: str | None = None) -> None:
    """Print lines of results as they are, less what a terminal would act on."""
    for line in lines:
        out.print(printable(line), markup=False, soft_wrap=True, style=style)


def note(text: str) -> None:
    """Print one line about what happens, on standard error."""
    err.print(printable(text), markup=False, soft_wrap=True)
