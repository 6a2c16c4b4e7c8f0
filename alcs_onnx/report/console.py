"""The terminal: one console for results, one for what happens on the way."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

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


class Bars:
    """Progress bars of measuring and training, and lines above them that stay."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}
        self._epoch: TaskID | None = None

    def note(self, text: str) -> None:
        """Print one line above the bars."""
        self._bars.console.print(printable(text), markup=False, soft_wrap=True)

    def stage(self, name: str, share: float) -> None:
        """Show that `share` of a stage is done; a stage that is done disappears."""
        if share >= 1:
            task = self._tasks.pop(name, None)
            if task is not None:
                self._bars.remove_task(task)
            return
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name, total=1.0)
        self._bars.update(self._tasks[name], completed=share)

    def start(self, title: str, total: int | None) -> None:
        """Show a bar for an epoch of `total` batches."""
        for task in self._tasks.values():
            self._bars.remove_task(task)
        self._tasks.clear()
        self._epoch = self._bars.add_task(title, total=total)

    def advance(self, loss: float) -> None:
        """Move the epoch's bar by a batch."""
        if self._epoch is not None:
            self._bars.update(self._epoch, advance=1, description=f"loss {loss:.4f}")

    def finish(self, line: str) -> None:
        """Replace the epoch's bar by a line."""
        if self._epoch is not None:
            self._bars.remove_task(self._epoch)
            self._epoch = None
        self.note(line)


@contextmanager
def progress() -> Iterator[Bars]:
    """Progress bars on standard error; only lines where it is no terminal."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    bars = Progress(*columns, console=err, transient=True, disable=not err.is_terminal)
    with bars:
        yield Bars(bars)
