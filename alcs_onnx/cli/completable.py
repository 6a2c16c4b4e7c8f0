"""What shells offer where a path is wanted."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class CompletableStore(argparse.Action):
    """Stores a value, as arguments without an `action` do; shells complete files and folders."""

    @property
    def complete(self) -> object:
        """What shtab reads; imported here, because --help does not need it."""
        import shtab

        metavar = self.metavar if isinstance(self.metavar, str) else ""
        if metavar == "FOLDER":
            return shtab.DIRECTORY
        if self.type is Path or "FILE" in metavar:
            return shtab.FILE
        raise AttributeError(f"{self.dest} is no path")

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Store the value."""
        setattr(namespace, self.dest, values)
