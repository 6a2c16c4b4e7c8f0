"""How long runs say where they are: a small protocol, a silent and a rich form of it."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from rich.console import Console


class Progress(Protocol):
    """What training reports to. Calls come in the order start, advance…, finish, per epoch."""

    def start(self, title: str, total: int | None) -> None:
        """An epoch of `total` batches begins (None: unknown)."""
        ...

    def advance(self, loss: float) -> None:
        """A batch is done; `loss` is the mean of the epoch so far."""
        ...

    def finish(self, line: str) -> None:
        """The epoch is done; `line` sums it up."""
        ...


class Silent:
    """Reports nothing."""

    def start(self, title: str, total: int | None) -> None:
        """Nothing."""

    def advance(self, loss: float) -> None:
        """Nothing."""

    def finish(self, line: str) -> None:
        """Nothing."""


class RichProgress:
    """A bar per epoch on a terminal, and one line per epoch that stays.

    Use as a context manager, so that the terminal is restored after an error.
    """

    def __init__(self, console: Console | None = None) -> None:
        from rich import progress

        self._progress = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TimeRemainingColumn(),
            progress.TextColumn("{task.fields[loss]}"),
            console=console,
            transient=True,
        )
        self._task: progress.TaskID | None = None

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def start(self, title: str, total: int | None) -> None:
        """Show a new bar."""
        self._task = self._progress.add_task(title, total=total, loss="")

    def advance(self, loss: float) -> None:
        """Move the bar by a batch."""
        if self._task is not None:
            self._progress.update(self._task, advance=1, loss=f"loss {loss:.4f}")

    def finish(self, line: str) -> None:
        """Replace the bar by a line."""
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None
        self._progress.console.print(line, highlight=False, markup=False)
