"""Objects that are named by text and imported when they are first asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from operator import attrgetter
from typing import Any


def load(package: str, where: str) -> Any:
    """The object that `where`, as `module:attribute`, names in `package`.

    A dot before the module leads to the package above.
    """
    module, _, attribute = where.partition(":")
    return attrgetter(attribute)(import_module(f".{module}", package))


def exports(package: str, modules: Mapping[str, Iterable[str]]) -> Callable[[str], Any]:
    """A `__getattr__` for `package`, that finds the names of its `modules` on first use.

    For packages of which some modules are cheap to import and others are not.
    """
    homes = {name: module for module, names in modules.items() for name in names}

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        return load(package, f"{homes[name]}:{name}")

    return get
