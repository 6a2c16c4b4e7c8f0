"""Registries: choices that users name, each with one row that is all of its registration.

Names and summaries are cheap to read, as `--help` does; what a row names is imported when it is
first looked up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple, TypeVar, cast

from alcs_onnx.errors import AlcsError
from alcs_onnx.lazy import load

_Choice = TypeVar("_Choice")


class Row(NamedTuple):
    """One choice: `where` it is found, as `module:attribute`, and what it is, in a few words."""

    where: str
    summary: str


class Registry(Mapping[str, _Choice]):
    """name -> choice, in the order in which help lists them. The first row is the default.

    `kind` is what error texts call a choice. `module` is the name of the module that has the
    registry: rows name modules beside it, so that a registry reaches no further than the layer
    that it stands in. `error` is raised for unknown names.
    """

    def __init__(
        self,
        kind: str,
        module: str,
        rows: Mapping[str, Row],
        error: type[AlcsError] = AlcsError,
    ) -> None:
        self._kind, self._rows, self._error = kind, dict(rows), error
        self._package = module.rpartition(".")[0]

    def __getitem__(self, name: str) -> _Choice:
        return cast(_Choice, load(self._package, self._rows[name].where))

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, name: object) -> bool:
        return name in self._rows

    @property
    def default(self) -> str:
        """The name that is meant where none is given."""
        return next(iter(self._rows))

    @property
    def help(self) -> str:
        """All names with their summaries: `a = this; b = that`."""
        return "; ".join(f"{name} = {row.summary}" for name, row in self._rows.items())

    def summary(self, name: str) -> str:
        """What the choice of that name is, in a few words."""
        return self._rows[name].summary

    def check(self, name: str, given: str | None = None) -> None:
        """Raise the registry's error unless `name` is known; it quotes `given`, if that differs."""
        if name not in self._rows:
            known = ", ".join(sorted(self._rows))
            raise self._error(f"{self._kind} '{given or name}' is not known: use {known}")

    def named(self, name: str) -> _Choice:
        """The choice of that name; raises the registry's error for an unknown one."""
        self.check(name)
        return self[name]
