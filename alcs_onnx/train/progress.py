"""How long runs say where they are: a small protocol, and a silent form of it."""

from __future__ import annotations

from typing import Protocol


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
