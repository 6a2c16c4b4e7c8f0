"""A reporter that remembers what it was told."""

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
