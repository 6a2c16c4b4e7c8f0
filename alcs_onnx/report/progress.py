"""How a long run goes, on standard error: bars on a terminal, now and then a line in a log.

Both say how long it will still take, from how long it took so far.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from alcs_onnx.report.console import err, note
from alcs_onnx.report.console_table import printable
from alcs_onnx.reporter import Reporter

#: Seconds between two lines of a log about the same phase or epoch. What takes less has none.
LOG_SECONDS = 20.0


def duration(seconds: float) -> str:
    """A time to wait in one or two units: `40 s`, `3 min`, `2 h 10 min`."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, rest = divmod(round(minutes / 10) * 10, 60)
    return f"{hours} h {rest} min" if rest else f"{hours} h"


class _Epochs:
    """The epochs of one stage of training: how long all that are left will take."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._stage, self._seconds, self._count = "", 0.0, 0
        self._left, self._began = 0, 0.0

    def start(self, title: str, left: int) -> None:
        stage = title.rpartition(" ")[0]
        if stage != self._stage:
            self._stage, self._seconds, self._count = stage, 0.0, 0
        self._left, self._began = left, self._clock()

    def finish(self) -> str:
        """What to add to the line of the epoch that ends."""
        self._seconds += self._clock() - self._began
        self._count += 1
        if not self._left:
            return ""
        return f"  ({duration(self._left * self._seconds / self._count)} left)"


class TerminalReporter:
    """Bars that disappear when they are full, and lines above them that stay."""

    def __init__(self, bars: Progress, clock: Callable[[], float] = time.monotonic) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}
        self._epoch: TaskID | None = None
        self._epochs = _Epochs(clock)

    def note(self, text: str) -> None:
        """Print one line above the bars."""
        self._bars.console.print(printable(text), markup=False, soft_wrap=True)

    def phase(self, name: str, fraction: float) -> None:
        """Show that `fraction` of a phase is done."""
        if fraction >= 1:
            task = self._tasks.pop(name, None)
            if task is not None:
                self._bars.remove_task(task)
            return
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name, total=1.0)
        self._bars.update(self._tasks[name], completed=fraction)

    def start(self, title: str, total: int | None, left: int = 0) -> None:
        """Show a bar for an epoch of `total` batches."""
        for task in self._tasks.values():
            self._bars.remove_task(task)
        self._tasks.clear()
        self._epochs.start(title, left)
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
            line += self._epochs.finish()
        self.note(line)


class LogReporter:
    """Lines alone: every note and epoch, and what is under way every `LOG_SECONDS`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._phase, self._phase_began, self._told = "", 0.0, 0.0
        self._epochs = _Epochs(clock)
        self._title, self._batch, self._total, self._epoch_began = "", 0, 0, 0.0

    def note(self, text: str) -> None:
        """Print the line."""
        note(text)

    def phase(self, name: str, fraction: float) -> None:
        """Say how far a phase is that takes long."""
        now = self._clock()
        if name != self._phase:
            self._phase, self._phase_began, self._told = name, now, now
        if fraction >= 1:
            self._phase = ""
        else:
            self._tell(now, name, fraction, now - self._phase_began)

    def start(self, title: str, total: int | None, left: int = 0) -> None:
        """Begin an epoch."""
        now = self._clock()
        self._phase, self._told = "", now
        self._title, self._batch, self._total, self._epoch_began = title, 0, total or 0, now
        self._epochs.start(title, left)

    def advance(self, loss: float) -> None:
        """Say how far an epoch is that takes long."""
        self._batch += 1
        now, title = self._clock(), f"{self._title}, loss {loss:.4f}"
        if not self._total:
            self._tell(now, f"{title}, batch {self._batch}", None, 0.0)
        elif self._batch < self._total:
            self._tell(now, title, self._batch / self._total, now - self._epoch_began)

    def finish(self, line: str) -> None:
        """Print the epoch's line."""
        if self._title:
            line += self._epochs.finish()
            self._title = ""
        note(line)

    def _tell(self, now: float, what: str, fraction: float | None, taken: float) -> None:
        if now - self._told < LOG_SECONDS:
            return
        self._told = now
        if fraction is None:
            note(what)
            return
        left = f", {duration(taken * (1 / fraction - 1))} left" if fraction > 0 else ""
        note(f"{what}: {100 * fraction:.0f} %{left}")


@contextmanager
def progress() -> Iterator[Reporter]:
    """A reporter for standard error: bars on a terminal, lines elsewhere."""
    if not err.is_terminal:
        yield LogReporter()
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True) as bars:
        yield TerminalReporter(bars)
