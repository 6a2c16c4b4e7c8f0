"""Who is told how a long run goes: one protocol, and a silent form of it."""

from __future__ import annotations

from typing import Protocol


class Reporter(Protocol):
    """What every command, measurement and training reports to.

    Phases and epochs do not nest: a phase ends with the fraction 1, an epoch with `finish`.
    """

    def note(self, text: str) -> None:
        """One line about what happens or was decided."""
        ...

    def phase(self, name: str, fraction: float) -> None:
        """The fraction of a phase that is done, in [0, 1]: a phase ends with 1."""
        ...

    def start(self, title: str, total: int | None, left: int = 0) -> None:
        """An epoch of `total` batches begins (None: unknown), with `left` more to come like it."""
        ...

    def advance(self, loss: float) -> None:
        """A batch is done; `loss` is the mean of the epoch so far."""
        ...

    def finish(self, line: str) -> None:
        """The epoch is done; `line` sums it up."""
        ...


class Silent:
    """Tells nobody."""

    def note(self, text: str) -> None:
        """Nothing."""

    def phase(self, name: str, fraction: float) -> None:
        """Nothing."""

    def start(self, title: str, total: int | None, left: int = 0) -> None:
        """Nothing."""

    def advance(self, loss: float) -> None:
        """Nothing."""

    def finish(self, line: str) -> None:
        """Nothing."""


SILENT: Reporter = Silent()


class NoteKeeper(Silent):
    """Remembers the notes, and passes them on to the reporter behind it."""

    def __init__(self, behind: Reporter = SILENT) -> None:
        self.notes: list[str] = []
        self._behind = behind

    def note(self, text: str) -> None:
        """Keep the line, and tell it."""
        self.notes.append(text)
        self._behind.note(text)
