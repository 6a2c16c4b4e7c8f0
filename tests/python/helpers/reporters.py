"""Reporters that remember what they were told, or end a run."""

from __future__ import annotations

from alcs_onnx.reporter import Silent


class Recorder(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.phases: list[tuple[str, float]] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def phase(self, name: str, fraction: float) -> None:
        self.phases.append((name, fraction))

    @property
    def fractions(self) -> list[float]:
        return [fraction for _, fraction in self.phases]


class StoppedError(Exception):
    """What `StopIn` raises."""


class StopIn(Silent):
    """A reporter that ends the run, as a kill would, in the second batch of an epoch."""

    def __init__(self, title: str) -> None:
        self.title, self.here, self.batches = title, False, 0

    def start(self, title: str, total: int | None, left: int = 0) -> None:
        self.here, self.batches = title.startswith(self.title), 0

    def advance(self, loss: float) -> None:
        self.batches += 1
        if self.here and self.batches == 2:
            raise StoppedError
